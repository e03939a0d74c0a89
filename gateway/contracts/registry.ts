import { type Check, SchemaError, schemaCompiler } from '../../contracts/compile.ts';
import { compileNormaliser, type Normalise } from '../../contracts/normalise.ts';
import type { BodyNormaliser, Contracts, PublishedContract } from '../../contracts/ports/contract.ts';
import type { ContractName, JsonObject } from '../../contracts/ports/envelope.ts';
import { everyPart } from '../../contracts/references.ts';

/**
 * All contracts, compiled once and for all; they may refer to one another by name (`common@1#/$defs/Person`).
 *
 * @throws SchemaError for a schema that cannot be used, a name given twice, a reference to what is not published, or references in a circle
 */
export function makeContracts(published: readonly PublishedContract[]): Contracts & BodyNormaliser {
  const byName = new Map<ContractName, PublishedContract>();
  for (const contract of published) {
    if (byName.has(contract.name)) throw new SchemaError(contract.name, 'published twice');
    byName.set(contract.name, named(contract));
  }
  const contracts = [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  refuseCircles(byName);
  const schemas = contracts.map(({ schema }) => schema);
  const compile = schemaCompiler({ schemas });
  const checks = new Map<ContractName, Check>();
  const failures: SchemaError[] = [];
  for (const { name, schema } of contracts) {
    try {
      checks.set(name, compile(schema));
    } catch (error) {
      if (!(error instanceof SchemaError)) throw error;
      failures.push(error);
    }
  }
  const [first] = failures;
  if (first !== undefined) {
    // All at once, each on a line of its own.
    first.message = failures.map(({ message }) => message).join('\n');
    throw first;
  }
  const normalisers = new Map<ContractName, Normalise>(
    contracts.map(({ name, schema }) => [name, compileNormaliser(schema, schemas)]),
  );

  return {
    has: (name) => byName.has(name),
    problems(name, body) {
      const check = checks.get(name);
      if (check === undefined) throw new Error(`contract ${name} is not published`);
      return check(body);
    },
    normalise(name, body) {
      const normalise = normalisers.get(name);
      if (normalise === undefined) throw new Error(`contract ${name} is not published`);
      return normalise(body);
    },
    list: () => contracts,
    get: (name) => byName.get(name),
  };
}

function named(contract: PublishedContract): PublishedContract {
  const { name, schema } = contract;
  if (schema.$id !== undefined && schema.$id !== name) {
    throw new SchemaError(name, `expected $id to be ${name}, or to be left out`);
  }
  return { ...contract, schema: { ...schema, $id: name } };
}

/** A message that contains itself is nobody's, and a definition that is nothing but itself would never end. */
function refuseCircles(contracts: ReadonlyMap<ContractName, PublishedContract>): void {
  const settled = new Set<string>();
  for (const name of contracts.keys()) follow(`${name}#`, []);

  function follow(place: string, path: readonly string[]): void {
    if (settled.has(place)) return;
    const before = path.indexOf(place);
    if (before !== -1) {
      throw new SchemaError(nameOf(place), `references in a circle: ${[...path.slice(before), place].join(' → ')}`);
    }
    const part = at(contracts.get(nameOf(place))?.schema, place);
    // What is not there is told by the compiler, with the schema that asks for it.
    if (part !== undefined) {
      // Definitions are followed from where they are used, not from where they stand.
      const { $defs: _, ...used } = part;
      everyPart(used, ({ $ref }) => {
        if (typeof $ref !== 'string') return;
        const [document = '', fragment = ''] = $ref.split('#');
        follow(`${document || nameOf(place)}#${fragment}`, [...path, place]);
      });
    }
    settled.add(place);
  }
}

const nameOf = (place: string): string => place.slice(0, place.indexOf('#'));

function at(schema: JsonObject | undefined, place: string): JsonObject | undefined {
  let part: unknown = schema;
  for (const step of place
    .slice(place.indexOf('#') + 1)
    .split('/')
    .slice(1)) {
    part = (part as { readonly [name: string]: unknown } | undefined)?.[step];
  }
  return part as JsonObject | undefined;
}
