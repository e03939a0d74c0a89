import type { JsonObject, Party } from '../contracts/ports/envelope.ts';
import type { Caller } from '../contracts/ports/services.ts';

/** Absolute paths of PEM files; without `ca` the issuers whom Node trusts. */
export interface TlsSettings {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** A machine that may call the API. */
export interface App {
  readonly key: string;
  /** The current one first. Two while one is rotated: either signs. In a settings file `secret` and `previousSecret`. */
  readonly secrets: readonly string[];
  readonly role: Caller['role'];
  /** `window`: what it may submit for. */
  readonly channels?: readonly string[];
  /** `department`: its own party. */
  readonly party?: Party;
}

/** All there is to set, checked whole by `loadSettings`; `settings.schema.json` says what each means and allows. */
export interface Settings {
  readonly port: number;
  readonly host: string;
  /** Where the metrics are, if not at `port`. */
  readonly adminPort?: number;
  /** PEM files, absolute. */
  readonly tls?: {
    readonly cert: string;
    readonly key: string;
    readonly clientCa?: string;
    readonly clientCertificate?: 'required' | 'optional';
  };
  readonly http: {
    /** Addresses or CIDR ranges. */
    readonly trustedProxies: readonly string[];
    readonly connections: number;
    readonly connectionsPerAddress: number;
    readonly headersMs: number;
    readonly requestMs: number;
  };
  /** Absolute, and it exists. */
  readonly dataDir: string;
  readonly databaseUrl?: string;
  readonly database: {
    readonly poolSize: number;
    readonly connectTimeoutMs: number;
    readonly statementTimeoutMs: number;
    readonly lockTimeoutMs: number;
    readonly tls?: TlsSettings;
  };
  readonly amqpUrl?: string;
  readonly bus: { readonly prefix: string; readonly events: boolean; readonly tls?: TlsSettings };
  /** GB/T 2260, 6 digits; case numbers begin with it. */
  readonly region: string;
  readonly logLevel: 'error' | 'warn' | 'info' | 'debug';
  /** The demo apps exist. */
  readonly demo: boolean;
  readonly apps: readonly App[];
  /** What each party's manifest asks for, and `terms`; opaque here, its manifest checks it. */
  readonly parties: { readonly [party: Party]: JsonObject };
  readonly window: { readonly party: Party };
  /** Absolute. */
  readonly folders: { readonly items: string; readonly schemas: string; readonly adapters: string };
  readonly limits: {
    readonly bodyBytes: number;
    readonly callbackBytes: number;
    readonly bodiesBytes: number;
    readonly certificateTimeMs: number;
  };
  readonly delivery: {
    readonly leaseMs: number;
    readonly sweepMs: number;
    readonly stopMs: number;
    readonly askSweepMs: number;
    readonly alarmAfterMs: number;
    readonly messageDays: number;
  };
  /** 0: no limit. */
  readonly rate: { readonly perMinute: number };
  readonly certificates: {
    readonly max: number;
    readonly negativeSeconds: number;
    readonly useCodeSeconds: number;
    readonly documentBytes: number;
    readonly annotateBytes: number;
    readonly owedSweepMs: number;
    readonly owedAfterMs: readonly number[];
    readonly ledgerDays: number;
  };
  /** Secret; 64 hex digits. */
  readonly holderHashKey: string;
}
