// promptfoo: the recorded answers pass through the `echo` provider, and `llm-rubric` grades each with our prompt. Its
// grader expects the verdict as {reason, pass, score} instead of {rationale, value}.
import { readFileSync } from 'node:fs';

const { system, user, model } = JSON.parse(readFileSync('question.json', 'utf8'));
const traces = readFileSync('traces.jsonl', 'utf8').trim().split('\n').map((line) => JSON.parse(line));
const schema = {
  type: 'object',
  properties: { reason: { type: 'string' }, pass: { type: 'boolean' }, score: { type: 'number' } },
  required: ['reason', 'pass', 'score'],
  additionalProperties: false,
};

export default {
  providers: ['echo'],
  prompts: ['{{outputs}}'],
  defaultTest: {
    assert: [{ type: 'llm-rubric', value: 'relevance' }],
    options: {
      rubricPrompt: JSON.stringify([
        { role: 'system', content: system },
        { role: 'user', content: user },
      ]),
      provider: {
        id: `openai:chat:${model}`,
        config: {
          apiBaseUrl: process.env.OPENAI_BASE_URL,
          temperature: 0,
          response_format: { type: 'json_schema', json_schema: { name: 'verdict', strict: true, schema } },
        },
      },
    },
  },
  tests: traces.map(({ trace_id, inputs, outputs }) => ({ vars: { trace_id, inputs, outputs } })),
};
