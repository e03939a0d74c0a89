/**
 * `npm run simulators`: only the simulated parties, in a process of their own, so that a gateway can be killed beside them.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import express from 'express';
import { startSimulated } from '../adapters/simulated.ts';
import { loadSimulators } from '../adapters/simulators.ts';
import { MOODS, type Mood } from '../contracts/ports/simulator.ts';

const HELP = `一窗总线 · 部门模拟器 Onewindow simulators

  npm run simulators -- [--port 8090] [--gateway http://127.0.0.1:8080] [--decide-after 1000]

  --port          控制接口端口 control API; also SIM_PORT (8090)
  --gateway       回调地址 where they push their results (http://127.0.0.1:8080)
  --decide-after  部门办理用时（毫秒） how long an office takes to decide, ms (1000)

  GET  /parties                       谁在 who is there, in which mood
  GET  /parties/{party}/filed         办件簿 its book, in order; a duplicate stands there twice
  POST /parties/{party}/mood          {"mood": "${MOODS.join(' | ')}"}
  POST /parties/{party}/levers/{name} {"value": …}
  GET  /config                        配置文件 the settings file of a gateway that talks to them:
                                      curl -s http://127.0.0.1:8090/config > sims.json && CONFIG=sims.json npm start
`;

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: process.env.SIM_PORT ?? '8090' },
    gateway: { type: 'string', default: 'http://127.0.0.1:8080' },
    'decide-after': { type: 'string', default: '1000' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(HELP);
  process.exit(0);
}

const simulated = await startSimulated(await loadSimulators(), {
  gateway: values.gateway,
  decideAfterMs: Number(values['decide-after']),
});
const app = express();
app.use(express.json());

app.param('party', (_request, response, next, party: string) => {
  const simulator = simulated.simulators.get(party);
  if (simulator === undefined) {
    response
      .status(404)
      .json({ code: 'partyUnknown', zh: '没有该部门', en: 'no such party', parties: [...simulated.simulators.keys()] });
    return;
  }
  response.locals.simulator = simulator;
  next();
});

const moods = new Map<string, Mood>([...simulated.simulators.keys()].map((party) => [party, 'well']));

app.get('/parties', (_request, response) => {
  response.json(
    [...simulated.simulators].map(([party, simulator]) => ({
      party,
      mood: moods.get(party),
      filed: simulator.filed().length,
    })),
  );
});
app.get('/parties/:party/filed', (_request, response) => {
  response.json(response.locals.simulator.filed());
});
app.post('/parties/:party/mood', async (request, response) => {
  const mood = MOODS.find((known) => known === request.body?.mood);
  if (mood === undefined) {
    response
      .status(422)
      .json({ code: 'moodUnknown', zh: `可选：${MOODS.join('、')}`, en: `one of: ${MOODS.join(', ')}` });
    return;
  }
  await response.locals.simulator.mood(mood);
  moods.set(request.params.party, mood);
  response.json({ party: request.params.party, mood });
});
app.post('/parties/:party/levers/:lever', async (request, response) => {
  try {
    await response.locals.simulator.pull?.(request.params.lever, request.body?.value ?? null);
    response.json({ party: request.params.party, lever: request.params.lever });
  } catch (error) {
    response.status(422).json({ code: 'leverUnknown', en: error instanceof Error ? error.message : 'unknown lever' });
  }
});
app.get('/config', (_request, response) => {
  response.json({ demo: true, parties: simulated.parties });
});

const server = app.listen(Number(values.port), '127.0.0.1');
try {
  await once(server, 'listening');
} catch (error) {
  await simulated.stop();
  if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
  console.error(`--port: 端口 ${values.port} 已被占用 / port ${values.port} is in use`);
  process.exit(1);
}
console.log(
  `部门模拟器已启动 simulators: http://127.0.0.1:${(server.address() as AddressInfo).port}  (${[...simulated.simulators.keys()].join(', ')})`,
);

async function stop(): Promise<void> {
  server.close();
  server.closeAllConnections();
  await simulated.stop();
}
process.once('SIGINT', () => void stop());
process.once('SIGTERM', () => void stop());
