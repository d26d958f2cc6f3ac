/**
 * The JSON Schemas that editors complete and check YAML files with, made from
 * the same schemas that load them.
 *
 * Law: pure; writing them is write-schemas.ts, and a test compares what is
 * shipped with what this makes.
 */
import { z } from 'zod';
import { casesSchema } from './cases-schema.js';
import { policySchema } from './policy-schema.js';
import { settingsSchema } from './settings.js';

/** File name below config/ → the schema's text. */
export function jsonSchemas(): Readonly<Record<string, string>> {
  return {
    'cases.schema.json': render(casesSchema, 'Holdfast policy test', 'as_written'),
    'holdfast.schema.json': render(settingsSchema, 'Holdfast settings', 'from_environment'),
    'policy.schema.json': render(policySchema, 'Holdfast policy', 'from_environment'),
  };
}

/** A value that comes from the environment is text, whatever it becomes. */
const FROM_ENVIRONMENT = { type: 'string', pattern: '\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}' };

function render(schema: z.ZodType, title: string, values: 'from_environment' | 'as_written'): string {
  const generated = z.toJSONSchema(schema, {
    io: 'input',
    override: ({ zodSchema, jsonSchema }) => {
      const { type } = zodSchema._zod.def;
      // Safe-integer bounds are an accident of the language, of no use to who writes a file.
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
      if (values === 'as_written') return;
      if (type === 'number' || type === 'enum' || (type === 'string' && jsonSchema.pattern !== undefined)) {
        const own = { ...jsonSchema };
        for (const key of Object.keys(jsonSchema)) Reflect.deleteProperty(jsonSchema, key);
        jsonSchema.anyOf = [own, { $ref: '#/$defs/fromEnvironment' }];
      }
    },
  });
  const { $schema, ...rest } = generated;
  const $defs = values === 'as_written' ? {} : { $defs: { fromEnvironment: FROM_ENVIRONMENT } };
  return `${layout({ $schema, title, ...rest, ...$defs }, '')}\n`;
}

/** The repository's formatting: lists of words on one line where they fit, everything else one entry a line. */
function layout(value: unknown, indent: string): string {
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    const items: unknown[] = value;
    const line = `[${items.map((item) => JSON.stringify(item)).join(', ')}]`;
    const flat = items.every((item) => typeof item !== 'object') && indent.length + line.length < 90;
    return flat ? line : `[\n${items.map((item) => inner + layout(item, inner)).join(',\n')}\n${indent}]`;
  }
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value);
  if (entries.length === 0) return '{}';
  const lines = entries.map(([key, entry]) => `${inner}${JSON.stringify(key)}: ${layout(entry, inner)}`);
  return `{\n${lines.join(',\n')}\n${indent}}`;
}
