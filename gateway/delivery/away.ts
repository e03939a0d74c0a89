import { Unfit } from '../../contracts/ports/contract.ts';

/** The store says that it is away, and that whoever asked may come again: everybody sees that, and nobody has to be told of it here. */
export const isAway = (error: unknown): boolean => error instanceof Unfit && error.status === 503;
