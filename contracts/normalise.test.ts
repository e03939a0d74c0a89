import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { compileNormaliser } from './normalise.ts';
import type { Json, JsonObject } from './ports/envelope.ts';

const COMMON: JsonObject = {
  $id: 'common@1',
  $defs: {
    Name: { type: 'string', format: 'name' },
    Person: {
      type: 'object',
      properties: { name: { $ref: '#/$defs/Name' }, idNo: { type: 'string', format: 'identifier' } },
    },
  },
};
const normalise = (schema: JsonObject, value: Json): Json => compileNormaliser(schema, [COMMON, schema])(value);
const object = (properties: JsonObject): JsonObject => ({ type: 'object', properties });

describe('the one way in which a body is kept', () => {
  test('names, numbers, amounts and codes, through references and lists; free text as it was written', () => {
    const schema = object({
      people: { type: 'array', items: { $ref: 'common@1#/$defs/Person' } },
      price: { type: 'string', format: 'decimal-money' },
      mobile: { type: 'string', format: 'mobile' },
      sex: { enum: ['1', '2'] },
      status: { enum: ['已婚'] },
      day: { type: 'string', format: 'date' },
      address: { type: 'string' },
      hints: { type: 'object', additionalProperties: { type: 'string', format: 'code' } },
    });
    const body = {
      people: [
        { name: '阿依古丽•买买提', idNo: '３３１１２４１９６８０９０９００９ｘ' },
        { name: '张Ａ', idNo: '1' },
      ],
      price: '９５００００．００',
      mobile: '１３９００００００００',
      sex: '２',
      status: '已婚',
      day: '２０２６-11-23',
      address: '样例路１号Ａ座•ｘ',
      hints: { certNo: '浙（２０２６）ｘ' },
      unknown: '１',
    };
    assert.deepEqual(normalise(schema, body), {
      people: [
        { name: '阿依古丽·买买提', idNo: '33112419680909009X' },
        { name: '张Ａ', idNo: '1' },
      ],
      price: '950000.00',
      mobile: '13900000000',
      sex: '2',
      status: '已婚',
      day: '2026-11-23',
      address: '样例路１号Ａ座•ｘ',
      hints: { certNo: '浙(2026)x' },
      unknown: '１',
    });
  });

  test('of branches: what one alone speaks of as it says; what several speak of, as all of them say', () => {
    const schema = {
      type: 'object',
      properties: { kind: { type: 'string' } },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
      then: object({ name: { type: 'string', format: 'name' }, no: { type: 'string', format: 'identifier' } }),
      else: object({ uscc: { type: 'string', format: 'uscc' }, no: { type: 'string' } }),
      allOf: [object({ more: { type: 'string', format: 'code' } })],
    };
    assert.deepEqual(normalise(schema, { name: '张•样', uscc: '９x', no: '１x', more: '１x' }), {
      name: '张·样',
      uscc: '9X',
      no: '１x',
      more: '1x',
    });
  });

  test('whatever comes, it does not throw, gives back what nothing changes, and read twice is read once', () => {
    const schema = { $ref: 'common@1#/$defs/Person' };
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const once = normalise(schema, value as Json);
        assert.deepEqual(normalise(schema, once), once);
      }),
    );
    const same = { name: '张样例', idNo: '331124199001010011' };
    assert.equal(normalise(schema, same), same);
    const odd = JSON.parse('{"__proto__": {"name": "张•样"}, "name": "张•样"}') as Json;
    assert.equal(JSON.stringify(normalise(schema, odd)), '{"__proto__":{"name":"张•样"},"name":"张·样"}');
  });
});
