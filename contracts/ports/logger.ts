/** Fields of one log line. Personal values are masked at one place, behind this port; still, do not pass bodies. */
export type LogFields = Readonly<Record<string, unknown>>;

/**
 * Errors ring a person, warnings do not: a department that is down is a warning, a parked envelope is an error.
 * A healthy gateway logs no error. Normal running writes one line an envelope.
 */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** The same logger with these fields on every line. */
  with(fields: LogFields): Logger;
}

export const silent: Logger = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent };
