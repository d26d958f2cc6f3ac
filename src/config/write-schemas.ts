/** Writes config/*.schema.json: `npm run schemas`, after a build. */
import { writeFileSync } from 'node:fs';
import { jsonSchemas } from './json-schema.js';

for (const [name, text] of Object.entries(jsonSchemas())) {
  writeFileSync(new URL(`../../config/${name}`, import.meta.url), text);
}
