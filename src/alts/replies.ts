import { z } from 'zod';
import { TASK_ID } from './task-id.ts';

/** The answer to `POST /tasks/schedule`, also of its 400. */
export const scheduleSchema = z.object({
  success: z.boolean().optional(),
  task_id: z.string().regex(TASK_ID).nullish(),
  error_description: z.string().nullish(),
});

/** The answer to `GET /tasks/{id}/result`, which is always a 200. */
export const statusSchema = z.object({
  state: z.string().min(1).max(64),
  result: z.unknown().optional(),
});

/** FastAPI's errors: a text, or what pydantic did not like (422). */
export const detailSchema = z.object({
  detail: z.union([
    z.string(),
    z.array(z.object({ loc: z.array(z.union([z.string(), z.number()])).optional(), msg: z.string() })),
  ]),
});

/** As much of an OpenAPI document as says what there is. */
export const openApiSchema = z.object({
  info: z.object({ title: z.string().optional() }).optional(),
  paths: z.record(z.string(), z.record(z.string(), z.unknown())),
});
