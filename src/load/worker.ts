/** The program of a load worker thread: runs the assignment it was started with. */
import { parentPort, workerData } from 'node:worker_threads';
import { type Assignment, type Port, runSession } from './session.ts';

if (parentPort) {
  await runSession(workerData as Assignment, parentPort as Port);
  parentPort.close();
}
