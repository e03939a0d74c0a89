import type { News, NewsCarrier } from '../../contracts/ports/news.ts';

/**
 * What nodes tell each other never goes over a broker, on which others may speak as well: those that share a database tell each other through it (`beyond`), and a
 * node that shares none is the only one there is.
 */
export function nodeNews(beyond?: NewsCarrier): NewsCarrier & { close(): void } {
  const listeners = new Set<(news: News) => void>();
  return {
    async announce(news) {
      if (beyond !== undefined) return beyond.announce(news);
      for (const listener of listeners) listener(news);
    },
    hear(listener) {
      if (beyond !== undefined) return beyond.hear(listener);
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    close: () => listeners.clear(),
  };
}
