import { createHash } from 'node:crypto';
import { canonicalJson } from '../contracts/canonical.ts';
import { compileSchema } from '../contracts/compile.ts';
import type { Json, JsonObject } from '../contracts/ports/envelope.ts';
import type { Item, Material, RouteStep } from '../contracts/ports/item.ts';
import { compileExpression } from './expression.ts';
import itemSchema from './item.schema.json' with { type: 'json' };

/** item.json as `item.schema.json` describes it: the item with its expressions still as text. */
type Written<T> = T extends (...args: never[]) => unknown
  ? string
  : T extends object
    ? { [K in keyof T]: Written<T[K]> }
    : T;
export type WrittenItem = Written<Omit<Item, 'version'>>;

/** Everything that an item is made from. */
export interface ItemDefinition {
  /** item.json, without what only its editor needs. */
  readonly item: JsonObject;
  /** The files that it names, by file name. */
  readonly mappings: { readonly [file: string]: string };
}

export const checkItem = compileSchema(itemSchema as Json, { names: 'shown' });

const VERSION_DIGITS = 16;

/** One text for one definition, whatever the order of its keys. */
export const definitionText = ({ item, mappings }: ItemDefinition): string =>
  canonicalJson({ item, mappings: { ...mappings } });

export const versionOf = (definition: string): string =>
  createHash('sha256').update(definition).digest('hex').slice(0, VERSION_DIGITS);

/** How an expression stands in an item: what its value is taken for, its place (RFC 6901), and its text, or the name of its file. */
export type CompileAt = <T>(as: (name: string, source: string) => T, pointer: string, text: string) => T;

export function buildItem(written: WrittenItem, version: string, compile: CompileAt): Item {
  const { holds, holders, hints, body, text } = compileExpression;

  const material = ({ when, certificate, ...rest }: WrittenItem['materials'][number], at: number): Material => ({
    ...rest,
    ...(when === undefined ? {} : { when: compile(holds, `/materials/${at}/when`, when) }),
    ...(certificate === undefined
      ? {}
      : {
          certificate: {
            type: certificate.type,
            title: certificate.title,
            sources: certificate.sources,
            fields: certificate.fields,
            ...(certificate.uploadMayReplace === undefined ? {} : { uploadMayReplace: certificate.uploadMayReplace }),
            ...(certificate.whenDown === undefined ? {} : { whenDown: certificate.whenDown }),
            holders: compile(holders, `/materials/${at}/certificate/holders`, certificate.holders),
            ...(certificate.hints === undefined
              ? {}
              : { hints: compile(hints, `/materials/${at}/certificate/hints`, certificate.hints) }),
          },
        }),
  });
  const step = ({ when, map, issues, ends, ...rest }: WrittenItem['route'][number], at: number): RouteStep => ({
    ...rest,
    ...(when === undefined ? {} : { when: compile(holds, `/route/${at}/when`, when) }),
    map: compile(body, `/route/${at}/map`, map),
    ...(issues === undefined
      ? {}
      : {
          issues: issues.map((issue, nth) => ({
            ...issue,
            map: compile(body, `/route/${at}/issues/${nth}/map`, issue.map),
          })),
        }),
    ...(ends === undefined
      ? {}
      : {
          ends: ends.map((end, nth) => ({
            type: end.type,
            holders: compile(holders, `/route/${at}/ends/${nth}/holders`, end.holders),
            ...(end.number === undefined
              ? {}
              : { number: compile(text, `/route/${at}/ends/${nth}/number`, end.number) }),
          })),
        }),
  });
  return {
    code: written.code,
    version,
    title: written.title,
    area: written.area,
    owner: written.owner,
    form: written.form,
    promised: written.promised,
    statutory: written.statutory,
    basis: written.basis,
    materials: written.materials.map(material),
    route: written.route.map(step),
    rules: written.rules.map((rule, at) => ({ ...rule, holds: compile(holds, `/rules/${at}/holds`, rule.holds) })),
  };
}
