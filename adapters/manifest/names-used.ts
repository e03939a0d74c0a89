import { type MappingNode, mappingTree } from '../../contracts/mapping.ts';

/** What an expression about a push takes from outside, seen from its text. */
export interface NamesUsed {
  /** Paths below `settings`; one of no steps: any of them. */
  readonly settings: readonly (readonly string[])[];
  /** Paths below `request`; one of no steps: any part of it. */
  readonly request: readonly (readonly string[])[];
  readonly text: boolean;
  /** Paths below `reply`; also one of no steps where it takes its input as a whole. */
  readonly reply: readonly (readonly string[])[];
}

/** What a variable or a wildcard gives as a whole. */
const WHOLE: ReadonlySet<string> = new Set(['variable', 'wildcard', 'descendant', 'parent']);

export function namesUsed(source: string): NamesUsed {
  const paths: (readonly string[])[] = [];
  let whole = false;
  const visit = (node: unknown): void => {
    if (node === null || typeof node !== 'object') return;
    if (Array.isArray(node)) {
      node.forEach(visit);
      return;
    }
    const { type, value, steps } = node as Partial<MappingNode>;
    if (type === 'path' && Array.isArray(steps)) {
      const path = namesOf(steps as readonly MappingNode[]);
      if (path === undefined) whole = true;
      else paths.push(path);
      const { steps: _, ...others } = node as Partial<MappingNode>;
      const [first, ...rest] = steps as readonly MappingNode[];
      visit(others);
      // The input as a whole, of which the path takes its part.
      visit(path !== undefined && first?.type === 'variable' ? rest : steps);
      return;
    } else if (type === 'variable' && (value === '' || value === '$')) whole = true;
    else if (type === 'wildcard' || type === 'descendant') whole = true;
    Object.values(node).forEach(visit);
  };
  visit(mappingTree(source));
  const below = (name: string): readonly (readonly string[])[] => [
    ...(whole ? [[]] : []),
    ...paths.filter(([first]) => first === name).map((path) => path.slice(1)),
  ];
  return {
    settings: below('settings'),
    request: below('request'),
    text: whole || below('text').length > 0,
    reply: below('reply'),
  };
}

/** The names from the path's beginning on, as far as they are names; undefined where it begins with the input as a whole. */
function namesOf(steps: readonly MappingNode[]): readonly string[] | undefined {
  const [first] = steps;
  const named = first !== undefined && WHOLE.has(first.type) ? steps.slice(1) : steps;
  const end = named.findIndex(({ type }) => type !== 'name');
  const names = (end === -1 ? named : named.slice(0, end)).map(({ value }) => String(value));
  const isInput = first?.type === 'variable' && (first.value === '' || first.value === '$');
  if (named === steps) return names;
  return isInput && names.length > 0 ? names : isInput || first?.type !== 'variable' ? undefined : [];
}

/** Whether a path stands at or below one of others. */
export function isAmong(path: readonly string[], others: readonly (readonly string[])[]): boolean {
  return others.some((other) => other.length <= path.length && other.every((step, at) => step === path[at]));
}
