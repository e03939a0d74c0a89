import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PublishedContract } from '../../contracts/ports/contract.ts';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import { makeContracts } from './registry.ts';

const contract = (name: string, schema: JsonObject): PublishedContract => ({
  name,
  title: { zh: name, en: name },
  schema,
});
const shared = contract('shared@1', {
  $defs: {
    Name: { type: 'string', minLength: 2 },
    Person: { type: 'object', properties: { name: { $ref: '#/$defs/Name' } }, additionalProperties: false },
  },
});
const letter = contract('letter@1', {
  type: 'object',
  properties: { from: { $ref: 'shared@1#/$defs/Person' }, to: { $ref: 'shared@1#/$defs/Person' } },
  additionalProperties: false,
});

test('contracts refer to one another by name, in whatever order they are published', () => {
  const contracts = makeContracts([shared, letter]);
  assert.deepEqual(contracts.problems('letter@1', { from: { name: '张样例' }, to: {} }), []);
  assert.deepEqual(
    contracts.problems('letter@1', { from: { name: '张' } }).map(({ pointer, code }) => `${pointer} ${code}`),
    ['/from/name minLength'],
  );
});

test('they are listed by name, and given as they are published, with their name as $id', () => {
  const contracts = makeContracts([shared, letter]);
  assert.deepEqual(
    contracts.list().map(({ name }) => name),
    ['letter@1', 'shared@1'],
  );
  assert.equal(contracts.get('letter@1')?.schema.$id, 'letter@1');
  assert.ok(contracts.has('shared@1'));
  assert.ok(!contracts.has('letter@2'));
  assert.equal(contracts.get('letter@2'), undefined);
  assert.throws(() => contracts.problems('letter@2', {}), /contract letter@2 is not published/);
});

test('a name given twice, or another $id, is refused', () => {
  assert.throws(() => makeContracts([letter, letter, shared]), /letter@1: published twice/);
  assert.throws(() => makeContracts([contract('a@1', { $id: 'b@1' })]), /a@1: expected \$id to be a@1/);
});

test('a reference that leads nowhere is told with who asks for it', () => {
  assert.throws(() => makeContracts([letter]), /letter@1: refers to shared@1#\/\$defs\/Person/);
  assert.throws(
    () =>
      makeContracts([
        shared,
        contract('a@1', { type: 'object', properties: { x: { $ref: 'shared@1#/$defs/Nobody' } } }),
      ]),
    /SchemaError: a@1: .*Nobody/,
  );
});

test('references in a circle are told as the circle they are', () => {
  const self = contract('self@1', { type: 'object', properties: { inner: { $ref: '#' } } });
  assert.throws(() => makeContracts([self]), /self@1: references in a circle: self@1# → self@1#/);
  const a = contract('a@1', { $defs: { X: { $ref: 'b@1#/$defs/Y' } }, $ref: '#/$defs/X' });
  const b = contract('b@1', { $defs: { Y: { $ref: 'a@1#/$defs/X' } } });
  assert.throws(() => makeContracts([a, b]), /circle: a@1#\/\$defs\/X → b@1#\/\$defs\/Y → a@1#\/\$defs\/X/);
});
