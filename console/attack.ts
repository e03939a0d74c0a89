/**
 * `npm run attack`: what strangers have done to the door, done again to a gateway that is started for it; and any number of requests that nobody would
 * send. It ends with exit 0 only if all of it held.
 */
import { parseArgs, styleText } from 'node:util';
import { ATTACKS } from './attack/attacks.ts';
import { ON_THE_BROKER } from './attack/broker.ts';
import { fuzz } from './attack/fuzz.ts';
import { Target } from './attack/target.ts';

const HELP = `npm run attack                          attacks a gateway of its own        攻击自启的网关
npm run attack -- --requests 100000     so many fuzzed requests (3,000)     模糊请求数
npm run attack -- --seed 7              the same requests again (1)         随机种子
npm run attack -- --only half-sent      only attacks with these words       只做名称含该词者
AMQP_URL=amqp://… npm run attack         the broker too                      连同消息代理
npm run attack -- --max-stall 250       longest stall allowed, ms (none)    允许的最长停顿（毫秒）`;

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '3000' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    'max-stall': { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const numbers = [values.requests, values.seed, values['max-stall'] ?? '0'];
if (values.help || !numbers.every((text) => /^\d{1,9}$/.test(text))) {
  console.log(HELP);
  process.exit(values.help ? 0 : 2);
}

let failed = 0;
function verdict(held: boolean, zh: string, en: string, seen: string): void {
  if (!held) failed += 1;
  console.log(`${held ? styleText('green', '✔') : styleText(['bold', 'red'], '✘')} ${zh}  ${styleText('dim', en)}`);
  console.log(`    ${held ? styleText('dim', seen) : styleText('red', seen)}`);
}

const target = await Target.start();
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void target.stop().finally(() => process.exit(1)));
try {
  for (const attack of [...ATTACKS, ON_THE_BROKER].filter(({ en }) => en.includes(values.only))) {
    try {
      verdict(true, attack.zh, attack.en, await attack.run(target));
    } catch (error) {
      verdict(false, attack.zh, attack.en, error instanceof Error ? error.message : String(error));
    }
  }
  const live = process.stdout.isTTY === true;
  const fuzzed = await fuzz(target, {
    requests: Number(values.requests),
    seed: Number(values.seed),
    progress(done) {
      if (live) process.stdout.write(`\r⏳ ${done} / ${values.requests}`);
      else if (done % 10_000 === 0) console.log(`⏳ ${done} / ${values.requests}`);
    },
  });
  if (live) process.stdout.write('\r\u001b[2K');
  const { requests, byStatus, faults, leaks, slowestProbe, stall } = fuzzed;
  const statuses = [...byStatus]
    .toSorted(([a], [b]) => a - b)
    .map(([status, count]) => `${status || 'closed'}: ${count}`);
  verdict(
    faults.length === 0 && target.running,
    '模糊请求：没有一次本方 5xx',
    'fuzzed requests: none ends in a fault of ours',
    faults.slice(0, 5).join('\n    ') || `${requests} requests (${statuses.join(', ')})`,
  );
  verdict(
    leaks.length === 0,
    '错误、日志、指标中没有个人信息',
    'no personal value in a problem, the log or the metrics',
    leaks.slice(0, 5).join('\n    ') || 'none',
  );
  const most = Number(values['max-stall'] ?? '0');
  verdict(
    most === 0 || stall <= most,
    '事件循环停顿',
    'stalls of the event loop',
    `longest ${stall} ms, slowest probe ${slowestProbe} ms`,
  );
} finally {
  await target.stop();
}
console.log(
  failed === 0
    ? styleText(['bold', 'green'], '全部守住 all held')
    : styleText(['bold', 'red'], `${failed} 项失守 gave way`),
);
process.exitCode = failed === 0 ? 0 : 1;
