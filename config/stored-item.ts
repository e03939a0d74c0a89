import type { Json, Party, Reason } from '../contracts/ports/envelope.ts';
import { type Expression, type Item, ItemUnusable, type ItemVersion, type RouteStep } from '../contracts/ports/item.ts';
import { buildItem, checkItem, type ItemDefinition, type WrittenItem } from './item-definition.ts';
import type { Known } from './item-names.ts';

/**
 * An item as it was stored, as far as it can still be used. What of it cannot (an expression that no longer compiles, a contract that is not published or not
 * taken any more, a party that is gone) fails with `ItemUnusable` when it is asked, and no earlier: the rest of the route goes on.
 *
 * @returns `lacks`: what cannot be used, one sentence each
 * @throws ItemUnusable when the definition as a whole is none
 */
export function compileStoredItem(
  { code, version, definition }: ItemVersion,
  known: Pick<Known, 'parties' | 'contracts' | 'offers'>,
): { readonly item: Item; readonly lacks: readonly string[] } {
  const { item: json, mappings } = read(code, version, definition);
  const lacks: string[] = [];
  const lacking = (reason: Reason, cause?: unknown) => {
    lacks.push(reason.en);
    return async (): Promise<never> => {
      throw new ItemUnusable(reason, cause);
    };
  };
  const built = buildItem(json, version, (as, pointer, text) => {
    const source = text.endsWith('.jsonata') ? mappings[text] : text;
    try {
      if (source === undefined) throw new Error(`there is no ${text}`);
      return as(`${code} ${pointer}`, source);
    } catch (error) {
      return lacking(expressionLost(code, pointer), error) as ReturnType<typeof as>;
    }
  });
  const parties = known.parties === undefined ? undefined : new Set(known.parties);
  const route = built.route.map((step): RouteStep => {
    const reason = stepLacks(step, parties, known);
    return reason === undefined ? step : { ...step, map: lacking(reason) as Expression<never> };
  });
  return { item: { ...built, route }, lacks };
}

function read(
  code: string,
  version: string,
  definition: string,
): { item: WrittenItem; mappings: ItemDefinition['mappings'] } {
  let cause: unknown;
  try {
    const { item, mappings } = JSON.parse(definition) as ItemDefinition;
    const problems = checkItem(item as Json);
    if (problems.length === 0) return { item: item as unknown as WrittenItem, mappings };
    cause = new Error(problems.map(({ pointer, en }) => `${pointer}: ${en}`).join('; '));
  } catch (error) {
    cause = error;
  }
  const reason = {
    code: 'itemUnreadable',
    zh: `事项 ${code} 的版本 ${version} 已无法读取`,
    en: `version ${version} of item ${code} can no longer be read`,
  };
  throw new ItemUnusable(reason, cause);
}

function stepLacks(
  { no, party, contract }: RouteStep,
  parties: ReadonlySet<Party> | undefined,
  { contracts, offers }: Pick<Known, 'contracts' | 'offers'>,
): Reason | undefined {
  if (parties?.has(party) === false)
    return {
      code: 'partyGone',
      zh: `环节 ${no} 的部门 ${party} 已不存在`,
      en: `step ${no}: there is no party ${party} any more`,
    };
  if (contracts?.has(contract) === false)
    return {
      code: 'contractUnknown',
      zh: `环节 ${no} 的契约 ${contract} 未发布`,
      en: `step ${no}: contract ${contract} is not published`,
    };
  const taken = offers?.get(party)?.delivers;
  if (taken?.every((each) => each.contract !== contract) === true)
    return {
      code: 'contractNotTaken',
      zh: `环节 ${no} 的部门 ${party} 不再接收契约 ${contract}`,
      en: `step ${no}: ${party} does not take ${contract} any more`,
    };
  return undefined;
}

const expressionLost = (code: string, pointer: string): Reason => ({
  code: 'expressionLost',
  zh: `事项 ${code} 的表达式 ${pointer} 已无法使用`,
  en: `the expression ${pointer} of item ${code} can no longer be used`,
});
