/**
 * amqplib alone: COUNT messages of BYTES through a quorum queue, each published persistent and confirmed, consumed and acknowledged, WINDOW under way at a time;
 * prints {count, ms} as one JSON line.
 */
import { connect } from 'amqplib';

const { url, count, bytes, window } = JSON.parse(process.env.BENCH ?? '{}') as {
  url: string;
  count: number;
  bytes: number;
  window: number;
};
const queue = `bench-${process.pid}`;
const [publishing, consuming] = await Promise.all([connect(url), connect(url)]);
const outgoing = await publishing.createConfirmChannel();
const incoming = await consuming.createChannel();
await incoming.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
await incoming.prefetch(window);
const content = Buffer.alloc(bytes, 'x');
let sent = 0;
let confirmed = 0;
let consumed = 0;
const began = performance.now();
await new Promise<void>((resolve, reject) => {
  const publish = (): void => {
    if (sent >= count) return;
    sent += 1;
    outgoing.publish('', queue, content, { persistent: true, mandatory: true }, (error) => {
      if (error !== null) return reject(error as Error);
      confirmed += 1;
      if (confirmed === count && consumed === count) resolve();
    });
  };
  void incoming.consume(queue, (message) => {
    if (message === null) return reject(new Error('cancelled'));
    incoming.ack(message);
    consumed += 1;
    publish();
    if (confirmed === count && consumed === count) resolve();
  });
  for (let n = 0; n < window; n += 1) publish();
});
console.log(JSON.stringify({ count, ms: Math.round(performance.now() - began) }));
await incoming.deleteQueue(queue);
process.exit(0);
