import type { Certificate } from '../../contracts/ports/certificate.ts';
import type { Json } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import { objectOf } from './meaning.ts';

const STATES: ReadonlySet<string> = new Set(['01', '02', '03', '04', '05', '06', '07', '99']);

/**
 * What a mapping found: a list, or the one that JSONata took out of its list.
 * @throws Fault `malformed` when there is nothing (who holds none says so by a rule), and when one lacks what makes it a certificate: without a
 *   holder and a state it must not be used
 */
export function certificatesOf(found: Json | undefined, type: string): readonly Certificate[] {
  if (found === undefined || found === null) throw incomplete();
  return (Array.isArray(found) ? found : [found]).map((each) => certificateOf(each, type));
}

function certificateOf(value: Json, type: string): Certificate {
  const found = objectOf(value);
  const holder = objectOf(found.holder);
  const state = String(found.state ?? '');
  const complete = [holder.name, holder.idNo, found.title, found.issuer].every(
    (part) => typeof part === 'string' && part !== '',
  );
  if (!complete || !STATES.has(state)) throw incomplete();
  return {
    type,
    identifier: text(found.identifier),
    number: text(found.number),
    title: String(found.title),
    holder: { name: String(holder.name), idType: String(holder.idType ?? '111'), idNo: String(holder.idNo) },
    state: state as Certificate['state'],
    issuer: String(found.issuer),
    validFrom: text(found.validFrom),
    validTo: text(found.validTo),
    fields: objectOf(found.fields),
  };
}

const incomplete = (): Fault =>
  new Fault('malformed', {
    reason: {
      code: 'certificate',
      zh: '返回的证照缺少持证人、状态等必要信息',
      en: 'the certificate lacks its holder, state, title or issuer',
    },
  });

const text = (value: Json | undefined): string | null =>
  value === undefined || value === null || value === '' ? null : String(value);
