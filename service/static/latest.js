/** Live controls without a flood of requests. */

const FRAME_MS = 16;

/**
 * Runs ``work`` on the newest argument: one run at a time, at most one a frame, and what was
 * superseded while another ran is never run.
 */
export function latest(work) {
  let running = false;
  let waiting = [];
  return async (argument) => {
    waiting = [argument];
    if (running) return;
    running = true;
    try {
      while (waiting.length > 0) {
        await new Promise((resolve) => setTimeout(resolve, FRAME_MS));
        await work(waiting.pop());
      }
    } finally {
      running = false;
    }
  };
}
