import type { Contracts } from '../../contracts/ports/contract.ts';
import type { Json, JsonObject, Words } from '../../contracts/ports/envelope.ts';
import type { Parameters } from './parameters.ts';
import type { Route, SignedRoute, Tag } from './route.ts';
import { SCHEMAS } from './schemas.ts';

const TAGS: { readonly [tag in Tag]: Words } = {
  cases: { zh: '办件', en: 'Cases' },
  certificates: { zh: '电子证照', en: 'Certificates' },
  departments: { zh: '部门', en: 'Departments' },
  catalogue: { zh: '事项与契约', en: 'Items and contracts' },
  queue: { zh: '人工队列', en: 'A person’s queue' },
  probes: { zh: '探测', en: 'Probes' },
};

const INTRODUCTION = `县级一窗受理的数据总线。One submission in, checked, routed to the departments in their lawful order, followed until every one has answered.

**签名 Signature.** \`X-App-Key\` · \`X-Timestamp\`（毫秒 ms）· \`X-Nonce\`（16–64 字符，只用一次 used once）· \`X-Signature\` = 小写十六进制 lower-case hex HMAC-SHA256（或 or SM3，\`X-Signature-Method: HMAC-SM3\`）of

\`\`\`
METHOD
path with query, as sent
hex SHA-256 (SM3) of the body
timestamp
nonce
\`\`\`

时钟误差不得超过五分钟。Clocks may differ by five minutes. 错误均为 Errors are \`application/problem+json\` (RFC 9457)，一次告知全部问题 all problems at once.`;

/** Every signed route has these. */
const COMMON = {
  400: { zh: '请求无法读取', en: 'The request cannot be read' },
  401: { zh: '应用标识或签名不正确', en: 'The app key or the signature is not right' },
  403: { zh: '角色不允许', en: 'Not for this role' },
  404: { zh: '不存在', en: 'There is no such thing' },
  406: { zh: 'Accept 不接受该资源的应答格式', en: 'The header Accept takes nothing that is answered here' },
  414: { zh: '请求地址过长', en: 'The address asked for is too long' },
  429: {
    zh: '过于频繁：本应用的请求，或同一地址未通过验签的请求',
    en: 'Too many requests of this app, or too many refused ones of this address',
  },
  503: { zh: '暂不可用，见 Retry-After', en: 'Not now: see Retry-After' },
} as const;

/** Of whatever sends a body. */
const WITH_BODY = {
  413: { zh: '请求体超过上限', en: 'The body is over the limit' },
  415: { zh: '应为 UTF-8 的 application/json，不得压缩', en: 'Expected application/json in UTF-8, not compressed' },
  422: { zh: '内容不符合契约，一次告知全部问题', en: 'It breaks its contract: all problems at once' },
} as const;

/** OpenAPI 3.1, from the routes themselves and the published contracts. */
export function openApi(routes: readonly Route[], contracts: Contracts, version: string): JsonObject {
  const published = contracts.list();
  const paths: { [path: string]: JsonObject } = {};
  for (const route of routes) {
    const here = paths[route.path] ?? {};
    here[route.method.toLowerCase()] = operation(route);
    paths[route.path] = here;
  }
  return {
    openapi: '3.1.0',
    info: {
      title: '一窗总线 Onewindow',
      version,
      description: INTRODUCTION,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    tags: Object.entries(TAGS).map(([name, { zh, en }]) => ({ name, description: `${zh} · ${en}` })),
    paths,
    components: {
      securitySchemes: {
        signature: {
          type: 'apiKey',
          in: 'header',
          name: 'X-App-Key',
          description: '与签名头一并使用 · together with the signature headers',
        },
      },
      schemas: {
        ...Object.fromEntries(Object.entries(SCHEMAS).map(([name, schema]) => [name, relinked(schema, name)])),
        ...Object.fromEntries(
          published.map(({ name, schema }) => [component(name), relinked(schema, component(name))]),
        ),
      },
    },
  };
}

function operation(route: Route): JsonObject {
  const signed = isSigned(route);
  const replies = Object.entries(route.replies).map(([status, reply]) => [
    status,
    {
      description: both(reply.words),
      content: {
        [reply.type ?? (reply.schema === 'problem@1' ? 'application/problem+json' : 'application/json')]: {
          schema: reply.schema === undefined ? {} : reference(reply.schema),
        },
      },
    },
  ]);
  return {
    operationId: route.id,
    tags: [route.tag],
    summary: both(route.words),
    ...(route.more === undefined ? {} : { description: `${route.more.zh}\n\n${route.more.en}` }),
    ...(signed ? { security: [{ signature: [] }], 'x-roles': [...route.access] } : {}),
    parameters: [...pathParameters(route.path), ...(signed ? queryParameters(route.query ?? {}) : [])],
    ...requestBody(route),
    responses: {
      ...(signed ? problems(COMMON) : {}),
      ...(signed && route.body !== undefined ? problems(WITH_BODY) : {}),
      ...Object.fromEntries(replies),
    },
  };
}

const isSigned = (route: Route): route is SignedRoute => Array.isArray(route.access);

function pathParameters(path: string): JsonObject[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
}

function queryParameters(parameters: Parameters): JsonObject[] {
  return Object.entries(parameters).map(([name, { words, schema }]) => ({
    name,
    in: 'query',
    description: both(words),
    schema,
  }));
}

function requestBody(route: Route): JsonObject {
  if (route.access === 'manifest') return { requestBody: { required: true, content: { '*/*': { schema: {} } } } };
  if (!isSigned(route) || route.body === undefined) return {};
  const { schema } = route.body;
  return {
    requestBody: {
      required: true,
      content: { 'application/json': { schema: schema === undefined ? {} : reference(schema) } },
    },
  };
}

function problems(told: { readonly [status: string]: Words }): JsonObject {
  return Object.fromEntries(
    Object.entries(told).map(([status, words]) => [
      status,
      { description: both(words), content: { 'application/problem+json': { schema: reference('problem@1') } } },
    ]),
  );
}

const both = ({ zh, en }: Words): string => `${zh} · ${en}`;
const reference = (name: string): JsonObject => ({ $ref: `#/components/schemas/${component(name)}` });

/** A component's name may not hold an `@`: `case.submit@1` stands as `case.submit.v1`. */
const component = (name: string): string => name.replace('@', '.v');

/** A schema as a component called `name`: it is found by its place, so that `$id` goes, and its references lead to places. */
function relinked(schema: Json, name: string): Json {
  if (schema === null || typeof schema !== 'object') return schema;
  if (Array.isArray(schema)) return schema.map((part) => relinked(part, name));
  return Object.fromEntries(
    Object.entries(schema)
      .filter(([key, value]) => !((key === '$id' || key === '$schema') && typeof value === 'string'))
      .map(([key, value]) => [
        key,
        key === '$ref' && typeof value === 'string' ? placeOf(value, name) : relinked(value, name),
      ]),
  );
}

function placeOf(target: string, within: string): string {
  const [id = '', fragment = ''] = target.split('#');
  return `#/components/schemas/${id === '' ? within : component(id)}${fragment}`;
}
