import { Unfit } from '../../contracts/ports/contract.ts';

/** The database cannot be used now (gone, its disk full, no connection free): whoever asked may come again, and nothing was promised. */
export class Unavailable extends Unfit {
  constructor(cause: unknown) {
    super(
      503,
      'storeUnavailable',
      { zh: '存储暂时不可用，请稍后再试', en: 'the store cannot be used now; come again' },
      [],
      10,
    );
    this.cause = cause;
  }
}

/** The store cannot be opened as things are: a person has to mend that, waiting does not. A plain sentence, without a secret. */
export class NotOpened extends Error {
  override readonly name = 'NotOpened';
}
