import { escapeText, formatDuration, messageOf, type RegopsError } from '../../../base/index.ts';
import { isoTime } from '../latency.ts';
import type { Health, HealthReading, Session, SessionsReading } from '../view.ts';
import type { AlertKind, MonitorAlert, ProbeKind, StateSample } from './result.ts';

const COUNTED = [
  ['repositories', 'Repository'],
  ['manifests', 'Manifest'],
  ['blobs', 'Blob'],
] as const;

/**
 * Compares each reading with the one before and says what somebody should look at, in the seed's words
 * where it has any. A condition that lasts (a slow probe, a degraded health, an old session) is told when
 * it begins; a drop is told each time.
 */
export class Watch {
  readonly #limits: { readonly longSessionMs: number; readonly slowMs: number };
  readonly #failing = new Set<ProbeKind>();
  readonly #slow = new Set<ProbeKind>();
  #longSessions = new Set<string>();
  #state: StateSample | undefined;
  #tags = 0;
  #health: Health = 'healthy';
  #partial = false;

  constructor(limits: { readonly longSessionMs: number; readonly slowMs: number }) {
    this.#limits = limits;
  }

  /** A probe gave nothing. Told once until it is answered again. */
  failed(probe: ProbeKind, error: RegopsError, atMs: number): MonitorAlert[] {
    if (this.#failing.has(probe)) return [];
    this.#failing.add(probe);
    const message = `Failed to get ${NAMES[probe]}: ${escapeText(messageOf(error))}`;
    return [alert(isoTime(atMs), 'probe-failed', 'critical', probe, message)];
  }

  /**
   * @param tags how many the state holds. What `/v2/` shows is what tags lead to, and that becomes less when a tag
   *   moves: no loss as long as no tag is gone
   * @param ownDeletesMs when this program itself last deleted anything: what is less than before that is no loss
   */
  state(state: StateSample, tags: number, ownDeletesMs?: number): MonitorAlert[] {
    const at = state.takenAt;
    const alerts = this.#answered('state', at, state.latencyMs);
    if (state.unreadable > 0) {
      // With repositories missing from the sums a drop means nothing.
      if (!this.#partial) {
        const message = `${state.unreadable} of ${state.repositories} repositories could not be read`;
        alerts.push(alert(at, 'partial-state', 'warning', null, message));
      }
      this.#partial = true;
      return alerts;
    }
    this.#partial = false;
    const before = this.#state;
    const ours = before && ownDeletesMs !== undefined && ownDeletesMs >= Date.parse(before.takenAt);
    const moved = state.api === 'oci' && tags >= this.#tags;
    this.#state = state;
    this.#tags = tags;
    for (const [what, word] of before ? COUNTED : []) {
      const [from, to] = [before?.[what] ?? 0, state[what]];
      if (to >= from) continue;
      const severity = ours || (moved && what !== 'repositories') ? 'note' : 'warning';
      alerts.push(alert(at, `${what}-dropped`, severity, null, `${word} count decreased: ${from} -> ${to}`));
    }
    return alerts;
  }

  health(reading: HealthReading): MonitorAlert[] {
    const { takenAt: at, status, detail } = reading;
    const alerts = this.#answered('health', at, reading.latencyMs);
    const before = this.#health;
    this.#health = status;
    if (status === before) return alerts;
    const why = detail === null ? '' : ` (${detail})`;
    alerts.push(
      status === 'healthy'
        ? alert(at, 'health-changed', 'note', null, `Registry health recovered: ${before} -> healthy`)
        : alert(
            at,
            'health-changed',
            status === 'unhealthy' ? 'critical' : 'warning',
            null,
            `Registry health degraded: ${before} -> ${status}${why}`,
          ),
    );
    return alerts;
  }

  sessions(reading: SessionsReading): MonitorAlert[] {
    const alerts = this.#answered('sessions', reading.takenAt, reading.latencyMs);
    const long = (reading.sessions ?? []).filter((one) => (one.durationMs ?? 0) > this.#limits.longSessionMs);
    for (const session of long) {
      if (!this.#longSessions.has(session.id)) alerts.push(longSession(session, reading.takenAt));
    }
    // Those that have ended are forgotten.
    this.#longSessions = new Set(long.map(({ id }) => id));
    return alerts;
  }

  #answered(probe: ProbeKind, at: string, latencyMs: number): MonitorAlert[] {
    const alerts: MonitorAlert[] = [];
    if (this.#failing.delete(probe)) {
      alerts.push(alert(at, 'probe-recovered', 'note', probe, `Got ${NAMES[probe]} again`));
    }
    if (latencyMs <= this.#limits.slowMs) {
      this.#slow.delete(probe);
    } else if (!this.#slow.has(probe)) {
      this.#slow.add(probe);
      const message = `Slow reply to ${NAMES[probe]}: ${formatDuration(latencyMs)}`;
      alerts.push(alert(at, 'probe-slow', 'warning', probe, message));
    }
    return alerts;
  }
}

const NAMES: Readonly<Record<ProbeKind, string>> = {
  state: 'registry state',
  health: 'registry health',
  sessions: 'active sessions',
};

function longSession({ id, durationMs }: Session, at: string): MonitorAlert {
  const shown = escapeText(id.slice(0, 200));
  const message = `Long-running session detected: ${shown} (${Math.round(durationMs ?? 0)}ms)`;
  return alert(at, 'long-session', 'warning', shown, message);
}

function alert(
  at: string,
  kind: AlertKind,
  severity: MonitorAlert['severity'],
  subject: string | null,
  message: string,
): MonitorAlert {
  return { at, kind, severity, subject, message };
}
