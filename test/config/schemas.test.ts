/** The registry, the JSON Schemas and the shipped files say the same. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { jsonSchemas } from '../../src/config/json-schema.js';
import { didYouMean } from '../../src/config/suggest.js';
import { RULES } from '../../src/policy/registry.js';

const shipped = (name: string): string =>
  readFileSync(new URL(`../../config/${name}`, import.meta.url), 'utf8');

interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly items?: JsonSchema;
  readonly additionalProperties?: unknown;
}

function keys(schema: JsonSchema | undefined): string[] {
  return Object.keys(schema?.properties ?? {}).sort();
}

describe('shipped JSON Schemas', () => {
  it.each(Object.entries(jsonSchemas()))(
    'config/%s is what the code makes of itself (npm run schemas)',
    (name, text) => {
      expect(shipped(name)).toBe(text);
    },
  );

  it('know exactly the rules of the registry', () => {
    const schema = JSON.parse(shipped('policy.schema.json')) as JsonSchema;
    const rules = schema.properties?.['roles']?.items?.properties?.['rules'];
    expect(keys(rules)).toEqual([...RULES.map(({ id }) => id), 'default'].sort());
    expect(rules?.additionalProperties).toBe(false);
  });

  it.each(['holdfast', 'policy'])('are named by config/%s.yaml for editors', (name) => {
    expect(shipped(`${name}.yaml`).split('\n')[0]).toBe(
      `# yaml-language-server: $schema=./${name}.schema.json`,
    );
  });
});

describe('the shipped policy', () => {
  it('names rules of the registry only, and its comment speaks of all of them', () => {
    const ids = RULES.map(({ id }) => id);
    const policy = parse(shipped('policy.yaml')) as { roles: { rules?: Record<string, unknown> }[] };
    for (const role of policy.roles) {
      for (const id of Object.keys(role.rules ?? {})) expect(ids).toContain(id);
    }
    for (const id of ids) expect(shipped('policy.yaml')).toContain(id);
  });
});

describe('didYouMean', () => {
  it.each([
    ['acess', ['access', 'match'], 'access'],
    ['trunacte', ['truncate', 'cascade'], 'truncate'],
    ['Truncate', ['truncate'], 'truncate'],
    ['drop_table', ['drop-table', 'drop-column'], 'drop-table'],
  ])('%s of %j is %s', (word, candidates, expected) => {
    expect(didYouMean(word, candidates)).toBe(` (did you mean "${expected}"?)`);
  });

  it('is silent where nothing is close', () => {
    expect(didYouMean('colour', ['access', 'match'])).toBe('');
    expect(didYouMean('x', [])).toBe('');
  });
});
