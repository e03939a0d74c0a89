import { Writable } from 'node:stream';
import winston from 'winston';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { LogFields, Logger } from '../../contracts/ports/logger.ts';
import { maskLine } from './mask.ts';

export interface LogOptions {
  readonly level: 'error' | 'warn' | 'info' | 'debug';
  readonly clock: Clock;
  /** Standard output unless told. */
  readonly stream?: Writable;
}

/** JSON lines with ISO time, through winston. Every line is masked here, in this one place. */
export function makeLog({ level, clock, stream }: LogOptions): Logger {
  const out = winston.createLogger({
    level,
    levels: { error: 0, warn: 1, info: 2, debug: 3 },
    format: winston.format.printf(({ level: at, message, fields }) => line(at, String(message), fields as LogFields)),
    transports: [new winston.transports.Stream({ stream: stream ?? standardOutput() })],
    exitOnError: false,
  });

  function line(at: string, message: string, fields: LogFields): string {
    const { error, ...rest } = fields;
    const masked = maskLine({ ...rest, ...(error === undefined ? {} : { error }) }) as object;
    return JSON.stringify({
      time: new Date(clock.now()).toISOString(),
      level: at,
      message: maskLine(message),
      ...masked,
    });
  }

  const at = (lines: LogFields): Logger => {
    const write =
      (severity: string) =>
      (message: string, fields: LogFields = {}) => {
        // Nothing is made of a line that nobody will see.
        if (out.isLevelEnabled(severity)) out.log({ level: severity, message, fields: { ...lines, ...fields } });
      };
    return {
      debug: write('debug'),
      info: write('info'),
      warn: write('warn'),
      error: write('error'),
      with: (more) => at({ ...lines, ...more }),
    };
  };
  return at({});
}

/** Never closed by the logger: others write there too. */
function standardOutput(): Writable {
  return new Writable({ write: (chunk, _encoding, done) => void process.stdout.write(chunk, () => done()) });
}
