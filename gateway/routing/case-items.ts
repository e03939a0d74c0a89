import { type Catalogue, type Item, ItemUnusable, type ItemVersion, type OfItem } from '../../contracts/ports/item.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { ItemVersions } from '../../contracts/ports/store.ts';

export interface CaseItemsParts {
  readonly catalogue: Catalogue;
  readonly store: Pick<ItemVersions, 'itemVersion' | 'undecidedCases'>;
  /** Compiles a stored definition, as far as it still can be: a step that cannot go on says so when it is asked. Throws `ItemUnusable`. */
  readonly compile: (stored: ItemVersion) => StoredItem;
  readonly log: Logger;
}

export interface StoredItem {
  readonly item: Item;
  /** What it names that is no longer there, one sentence each. */
  readonly lacks: readonly string[];
}

/** Older versions kept compiled. */
const MOST_KEPT = 64;

/** The catalogue, and which item a running case follows: the one it began with, whatever the catalogue says by now. */
export class CaseItems implements Catalogue {
  readonly #parts: CaseItemsParts;
  /** By code and version; the one used longest ago goes first. */
  readonly #kept = new Map<string, Item>();
  /** What was logged, so that it is logged once and not at every happening of every case. */
  readonly #logged = new Set<string>();

  constructor(parts: CaseItemsParts) {
    this.#parts = parts;
  }

  get(code: string): Item | undefined {
    return this.#parts.catalogue.get(code);
  }

  list(): readonly Item[] {
    return this.#parts.catalogue.list();
  }

  async ofCase({ submission: { itemCode }, itemVersion }: OfItem): Promise<Item> {
    const current = this.get(itemCode);
    if (current !== undefined && (itemVersion === null || itemVersion === current.version)) return current;
    const kept = itemVersion === null ? undefined : this.#lookUp(keyOf(itemCode, itemVersion));
    return kept ?? this.#read(itemCode, itemVersion);
  }

  /**
   * Tells which items have cases that began under another version than the current, and makes those versions ready.
   * For the start: rejects only when the store does.
   */
  async prepare(): Promise<void> {
    const { catalogue, store, log } = this.#parts;
    for (const { code, version, cases } of await store.undecidedCases()) {
      const current = catalogue.get(code);
      if (current !== undefined && (version === null || version === current.version)) continue;
      log.warn('cases go on under an earlier version of their item', {
        item: code,
        version,
        current: current?.version ?? null,
        cases,
      });
      // What is unusable is logged there.
      await this.ofCase({ submission: { itemCode: code }, itemVersion: version }).catch((error: unknown) => {
        if (!(error instanceof ItemUnusable)) throw error;
      });
    }
  }

  async #read(code: string, version: string | null): Promise<Item> {
    const stored = await this.#parts.store.itemVersion(code, version);
    if (stored === undefined) throw this.#unusable(code, version, unknownVersion(code, version));
    const key = keyOf(code, stored.version);
    const known = this.#lookUp(key);
    if (known !== undefined) return known;
    const { item, lacks } = this.#compiled(stored);
    if (lacks.length > 0)
      this.#logOnce(key, 'running cases need what is no longer there: their steps will be parked', {
        item: code,
        version: stored.version,
        lacks,
      });
    this.#kept.set(key, item);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > MOST_KEPT && oldest !== undefined) this.#kept.delete(oldest);
    return item;
  }

  #compiled(stored: ItemVersion): StoredItem {
    try {
      return this.#parts.compile(stored);
    } catch (error) {
      throw error instanceof ItemUnusable ? this.#unusable(stored.code, stored.version, error) : error;
    }
  }

  #lookUp(key: string): Item | undefined {
    const item = this.#kept.get(key);
    if (item === undefined) return undefined;
    this.#kept.delete(key);
    this.#kept.set(key, item);
    return item;
  }

  #unusable(code: string, version: string | null, error: ItemUnusable): ItemUnusable {
    this.#logOnce(keyOf(code, version), 'running cases cannot go on: their item cannot be used', {
      item: code,
      version,
      reason: error.reason.en,
    });
    return error;
  }

  #logOnce(key: string, message: string, fields: Parameters<Logger['error']>[1]): void {
    if (this.#logged.has(key)) return;
    if (this.#logged.size >= MOST_KEPT) this.#logged.clear();
    this.#logged.add(key);
    this.#parts.log.error(message, fields);
  }
}

const keyOf = (code: string, version: string | null): string => `${code} ${version ?? ''}`;

const unknownVersion = (code: string, version: string | null): ItemUnusable =>
  new ItemUnusable({
    code: 'itemGone',
    zh: `事项 ${code}${version === null ? '' : `（版本 ${version}）`}已不在事项目录中，存储中也没有`,
    en: `item ${code}${version === null ? '' : ` (version ${version})`} is neither in the catalogue nor in the store`,
  });
