import type { TextLimit } from './ports/adapter.ts';
import type { Problem } from './ports/contract.ts';
import type { Json, JsonObject, Words } from './ports/envelope.ts';

/** More are not read one by one. */
const MOST_PLACES = 10;

/**
 * What a party's system cannot hold of a text.
 *
 * @param pointer where whoever wrote the text finds it
 * @param title the party's
 */
export function limitProblems(limit: TextLimit, text: string, pointer: string, title: Words): readonly Problem[] {
  const { bytes, notHeld } = limit.measure(text);
  const { maxBytes } = limit;
  return [
    ...(bytes === null || maxBytes === null || bytes <= maxBytes
      ? []
      : [tooLong(limit, maxBytes, bytes, pointer, title)]),
    ...(notHeld.length === 0 ? [] : [notInEncoding(limit.encoding, notHeld, pointer, title)]),
  ];
}

function tooLong(
  { encoding, bytesPerHan }: TextLimit,
  maxBytes: number,
  bytes: number,
  pointer: string,
  title: Words,
): Problem {
  const han = bytesPerHan === null ? undefined : Math.floor(maxBytes / bytesPerHan);
  const about = han === undefined ? '' : `，约 ${han} 个汉字`;
  const roughly = han === undefined ? '' : `, about ${han} Han characters`;
  return {
    pointer,
    code: 'tooLongForDepartment',
    zh: `${title.zh}的系统在此处最多容纳 ${maxBytes} 字节（${encoding}${about}），所填内容为 ${bytes} 字节`,
    en: `the system of ${title.en} holds at most ${maxBytes} bytes here (${encoding}${roughly}), and this takes ${bytes}`,
  };
}

function notInEncoding(
  encoding: string,
  places: ReturnType<TextLimit['measure']>['notHeld'],
  pointer: string,
  title: Words,
): Problem {
  const shown = places.slice(0, MOST_PLACES);
  const more = places.length - shown.length;
  const zh = shown.map(({ at, codePoint }) => `第 ${at} 个字符 ${codePoint}`).join('、');
  const en = shown.map(({ at, codePoint }) => `character ${at} is ${codePoint}`).join(', ');
  return {
    pointer,
    code: 'charactersNotHeld',
    zh: `${title.zh}的系统（${encoding}）无法表示：${zh}${more > 0 ? `，另有 ${more} 处` : ''}`,
    en: `the system of ${title.en} (${encoding}) does not have these characters: ${en}${more > 0 ? `, and ${more} more` : ''}`,
  };
}

/** The values at a pointer with `*`, each with the pointer of its own. */
export function valuesAt(
  value: Json | undefined,
  pattern: string,
): readonly { readonly pointer: string; readonly value: Json }[] {
  let here: { pointer: string; value: Json }[] = value === undefined ? [] : [{ pointer: '', value }];
  for (const step of pattern.split('/').slice(1)) {
    here = here.flatMap(({ pointer, value: one }) => {
      if (one === null || typeof one !== 'object') return [];
      if (step === '*')
        return Array.isArray(one) ? one.map((inside, at) => ({ pointer: `${pointer}/${at}`, value: inside })) : [];
      const name = step.replaceAll('~1', '/').replaceAll('~0', '~');
      const inside = Object.hasOwn(one, name) ? (one as JsonObject)[name] : undefined;
      return inside === undefined ? [] : [{ pointer: `${pointer}/${step}`, value: inside }];
    });
  }
  return here;
}
