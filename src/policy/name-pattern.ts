/** Patterns of tables and functions as options of rules: the same spelling for all. */
import { z } from 'zod';
import { parseTablePattern } from './glob.js';

export const namePattern = z
  .string()
  .check((context) => {
    const parsed = parseTablePattern(context.value);
    if ('problem' in parsed) {
      context.issues.push({ code: 'custom', input: context.value, message: parsed.problem });
    }
  })
  .meta({ description: 'name or schema.name; * stands for any run of characters' });
