import { countOf } from './count.ts';
import { FORMATS, STANDARD_FORMATS } from './formats.ts';
import type { Words } from './ports/envelope.ts';

/** What a sentence may be made of: the schema's side of a mistake only, never the value's. */
export interface Mistake {
  readonly keyword: string;
  readonly params: { readonly [name: string]: unknown };
  /** The schema that holds the keyword. */
  readonly schema: { readonly [name: string]: unknown };
}

/** How the words of `x-expects` in a schema, `{zh, en}`, are taken in place of the general sentence of these keywords. */
const OWN_WORDS: ReadonlySet<string> = new Set([
  'pattern',
  'format',
  'enum',
  'const',
  'anyOf',
  'oneOf',
  'not',
  'contains',
]);

/** What was expected, in one sentence. */
export function sentence(mistake: Mistake): Words {
  const own = mistake.schema['x-expects'] as Words | undefined;
  if (own !== undefined && OWN_WORDS.has(mistake.keyword)) return expected(own);
  const says = SENTENCES[mistake.keyword];
  return says === undefined
    ? { zh: `不符合要求 ${mistake.keyword}`, en: `does not meet ${mistake.keyword}` }
    : says(mistake.params, mistake.schema);
}

const expected = ({ zh, en }: Words): Words => ({
  zh: /^[\x21-\x7e]/.test(zh) ? `应为 ${zh}` : `应为${zh}`,
  en: `expected ${en}`,
});

type Sentence = (params: Mistake['params'], schema: Mistake['schema']) => Words;

const SENTENCES: { readonly [keyword: string]: Sentence } = {
  required: () => ({ zh: '缺少必填项', en: 'required, and missing' }),
  dependentRequired: () => ({ zh: '缺少必填项', en: 'required here, and missing' }),
  type: ({ type }) => typeWords([type].flat().map(String)),
  enum: ({ allowedValues }) => {
    const values = listed(allowedValues as readonly unknown[]);
    return { zh: `只能是下列值之一：${values}`, en: `expected one of: ${values}` };
  },
  const: ({ allowedValue }) => ({
    zh: `只能是 ${JSON.stringify(allowedValue)}`,
    en: `expected ${JSON.stringify(allowedValue)}`,
  }),
  format: ({ format }) => {
    const name = String(format);
    return expected(
      FORMATS[name]?.words ?? STANDARD_FORMATS[name] ?? { zh: `格式 ${name}`, en: `a text of the format ${name}` },
    );
  },
  pattern: ({ pattern }) => ({ zh: `应符合格式 ${pattern}`, en: `expected a text of the form ${pattern}` }),
  minLength: ({ limit }) =>
    Number(limit) === 1
      ? { zh: '不能为空', en: 'must not be empty' }
      : { zh: `至少 ${limit} 个字符`, en: `expected at least ${countOf(Number(limit), 'character')}` },
  maxLength: ({ limit }) => ({
    zh: `最多 ${limit} 个字符`,
    en: `expected at most ${countOf(Number(limit), 'character')}`,
  }),
  minimum: ({ limit }) => ({ zh: `不得小于 ${limit}`, en: `expected at least ${limit}` }),
  maximum: ({ limit }) => ({ zh: `不得大于 ${limit}`, en: `expected at most ${limit}` }),
  exclusiveMinimum: ({ limit }) => ({ zh: `必须大于 ${limit}`, en: `expected more than ${limit}` }),
  exclusiveMaximum: ({ limit }) => ({ zh: `必须小于 ${limit}`, en: `expected less than ${limit}` }),
  multipleOf: ({ multipleOf }) => ({ zh: `必须是 ${multipleOf} 的倍数`, en: `expected a multiple of ${multipleOf}` }),
  minItems: ({ limit }) => ({ zh: `至少 ${limit} 项`, en: `expected at least ${limit} of them` }),
  maxItems: ({ limit }) => ({ zh: `最多 ${limit} 项`, en: `expected at most ${limit} of them` }),
  minProperties: ({ limit }) => ({
    zh: `至少填写 ${limit} 个字段`,
    en: `expected at least ${countOf(Number(limit), 'field')}`,
  }),
  maxProperties: ({ limit }) => ({
    zh: `最多 ${limit} 个字段`,
    en: `expected at most ${countOf(Number(limit), 'field')}`,
  }),
  uniqueItems: () => ({ zh: '各项不得重复', en: 'expected each only once' }),
  contains: () => ({ zh: '缺少必须出现的一项', en: 'something that must be among them is missing' }),
  anyOf: () => ({ zh: '不符合任何一种允许的形式', en: 'has none of the forms that are allowed' }),
  oneOf: () => ({ zh: '应恰好符合一种允许的形式', en: 'expected exactly one of the forms that are allowed' }),
  not: () => ({ zh: '此处不允许这样填写', en: 'has a form that is not allowed here' }),
  'false schema': () => ({ zh: '此处不允许填写', en: 'nothing is allowed here' }),
  propertyNames: () => ({ zh: '字段名不符合要求', en: 'the name of a field is not allowed' }),
};

const TYPES: { readonly [type: string]: Words } = {
  string: { zh: '文本', en: 'a text' },
  integer: { zh: '整数', en: 'an integer' },
  number: { zh: '数字', en: 'a number' },
  boolean: { zh: 'true 或 false', en: 'true or false' },
  object: { zh: '对象', en: 'an object' },
  array: { zh: '列表', en: 'a list' },
  null: { zh: 'null', en: 'null' },
};

function typeWords(types: readonly string[]): Words {
  const words = types.map((type) => TYPES[type] ?? { zh: type, en: type });
  const { zh, en } = expected({
    zh: words.map((one) => one.zh).join('或'),
    en: words.map((one) => one.en).join(' or '),
  });
  // The commonest mistake of callers: JSON numbers lose leading zeros and long ids.
  return types.includes('string')
    ? { zh: `${zh}（编号、金额也须加引号）`, en: `${en} (numbers of any kind are texts in quotes)` }
    : { zh, en };
}

/** Names or values of the schema, bounded. */
export function listed(values: readonly unknown[]): string {
  const shown = values.slice(0, 30).map((value) => (typeof value === 'string' ? value : JSON.stringify(value)));
  return shown.join(', ') + (values.length > shown.length ? ' …' : '');
}
