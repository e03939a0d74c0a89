import type { Json, Millis, Party } from './envelope.ts';

/**
 * Each mood has one right fault, and the conformance suite asks every adapter for it:
 *
 *   well       –
 *   refuses    refused      (understands, and says no, in its own words)
 *   busy       busy         (its own "come back later")
 *   absent     unreachable  (nobody listens: the port is closed)
 *   deaf       inDoubt      (takes the bytes, files nothing, never answers)
 *   forgetful  inDoubt      (files it, then hangs up without an answer; what files nothing it answers;
 *                            a certificate's file breaks off in the middle, and is unreachable)
 *   garbled    malformed    (files nothing, answers bytes that mean nothing)
 *
 * A mood concerns every operation of the party. Answers already filed but not yet given (`later`) wait while it is not well.
 */
export type Mood = 'well' | 'refuses' | 'busy' | 'absent' | 'deaf' | 'forgetful' | 'garbled';
export const MOODS: readonly Mood[] = ['well', 'refuses', 'busy', 'absent', 'deaf', 'forgetful', 'garbled'];

/** One entry of the party's book. A case it took twice stands there twice. */
export interface Filing {
  readonly at: Millis;
  /** The gateway's key as it came over the wire. */
  readonly key: string;
  readonly number: string;
  /** What it did, in the party's own word: a trade code, a path. */
  readonly what: string;
  readonly content: Json;
}

/** Stands in for a party's old system, on a real socket, with its real bytes. */
export interface Simulator {
  readonly party: Party;
  /** Listens on 127.0.0.1, on `port` (0: any free one); resolves to the settings that make an adapter talk to it. */
  start(options: SimulatorOptions): Promise<{ readonly settings: Json }>;
  mood(mood: Mood): Promise<void>;
  filed(): readonly Filing[];
  /** Party-specific levers for demo and tests ("decideAfterMs", "rotateSecret" …): throws on an unknown name. */
  pull?(lever: string, value: Json): Promise<void>;
  stop(): Promise<void>;
}

export interface SimulatorOptions {
  readonly port: number;
  /** Where the gateway takes callbacks, `http://127.0.0.1:8080`; absent: it never pushes. */
  readonly gateway?: string;
  /** How long the office takes to decide, for those that reply later. */
  readonly decideAfterMs?: number;
}

/** The default export of `adapters/<party>/simulator.ts`. */
export type MakeSimulator = () => Simulator;
