/**
 * A trace as https://ui.perfetto.dev opens it: TrackEvent packets in protobuf. The descriptors of all tracks come first, then what is on them,
 * in the order of time.
 *
 * Source: protos/perfetto/trace/trace_packet.proto, track_event/track_event.proto, track_event/track_descriptor.proto.
 */
import type { Trace } from '../read.ts';
import { Message } from './protobuf.ts';
import { type Counter, type Instant, type Slice, type Track, timelineOf } from './timeline.ts';

/** Numbers of fields. */
const TracePacket = { timestamp: 8, sequence: 10, event: 11, sequenceFlags: 13, descriptor: 60 } as const;
const TrackDescriptor = { uuid: 1, name: 2, process: 3, thread: 4, parent: 5, counter: 8 } as const;
const ProcessDescriptor = { pid: 1, name: 6 } as const;
const ThreadDescriptor = { pid: 1, tid: 2, name: 5 } as const;
const TrackEvent = {
  annotation: 4,
  type: 9,
  track: 11,
  category: 22,
  name: 23,
  value: 30,
  flow: 47,
  endOfFlow: 48,
} as const;
const Annotation = { uint: 3, string: 6, name: 10 } as const;

const BEGIN = 1;
const END = 2;
const INSTANT = 3;
const COUNTER = 4;

const SEQUENCE = 1;
/** SEQ_INCREMENTAL_STATE_CLEARED. */
const CLEARED = 1;
const PACKET = 1;
const PROCESS_UUID = 1;
const CATEGORY = 'holdfast';

/** One packet with an event; `order` among those of one time. */
interface Packet {
  readonly time: number;
  readonly order: number;
  readonly event: Message;
}

/** What ends at a time is over before what begins then. Ends of one track name no slice: the reader takes the innermost. */
const ENDS = 0;
const BEGINS = 1;

/** The trace as a file for Perfetto's UI. */
export function perfettoTrace(trace: Trace): Uint8Array {
  const { tracks, slices, instants, counters } = timelineOf(trace);
  const uuids = new Map<Track | Counter, number>();
  for (const track of [...tracks, ...counters]) uuids.set(track, PROCESS_UUID + 1 + uuids.size);
  const uuidOf = (track: Track | Counter) => uuids.get(track) as number;
  const file = new Message();
  const first = describe(PROCESS_UUID).message(
    TrackDescriptor.process,
    new Message().uint(ProcessDescriptor.pid, process.pid).string(ProcessDescriptor.name, 'holdfast arena'),
  );
  file.message(PACKET, packet().uint(TracePacket.sequenceFlags, CLEARED).message(TracePacket.descriptor, first));
  for (const track of tracks) {
    const parent = tracks.find(({ isThread, thread }) => isThread && thread === track.thread);
    const descriptor = track.isThread
      ? threadDescriptor(uuidOf(track), track, trace)
      : describe(uuidOf(track))
          .string(TrackDescriptor.name, track.name)
          .uint(TrackDescriptor.parent, parent === undefined ? PROCESS_UUID : uuidOf(parent));
    file.message(PACKET, packet().message(TracePacket.descriptor, descriptor));
  }
  for (const counter of counters) {
    const descriptor = describe(uuidOf(counter))
      .string(TrackDescriptor.name, counter.name)
      .uint(TrackDescriptor.parent, PROCESS_UUID)
      .message(TrackDescriptor.counter, new Message());
    file.message(PACKET, packet().message(TracePacket.descriptor, descriptor));
  }
  const packets = [
    ...slices.flatMap((slice) => slicePackets(slice, uuidOf(slice.track))),
    ...instants.map((instant) => instantPacket(instant, uuidOf(instant.track))),
    ...counters.flatMap((counter) => counterPackets(counter, uuidOf(counter))),
  ].sort((a, b) => a.time - b.time || a.order - b.order);
  for (const { time, event } of packets) {
    file.message(PACKET, packet().uint(TracePacket.timestamp, time).message(TracePacket.event, event));
  }
  return file.finish();
}

function packet(): Message {
  return new Message().uint(TracePacket.sequence, SEQUENCE);
}

function describe(uuid: number): Message {
  return new Message().uint(TrackDescriptor.uuid, uuid);
}

/** A thread of which the system's number is not known has one that no thread of the process has. */
function threadDescriptor(uuid: number, { name, thread }: Track, trace: Trace): Message {
  const place = thread as number;
  const tid = trace.threads[place]?.osThread || process.pid + 1e6 + place;
  const descriptor = new Message()
    .uint(ThreadDescriptor.pid, process.pid)
    .uint(ThreadDescriptor.tid, tid)
    .string(ThreadDescriptor.name, name);
  return describe(uuid).message(TrackDescriptor.thread, descriptor);
}

function eventOf(type: number, track: number): Message {
  return new Message().uint(TrackEvent.type, type).uint(TrackEvent.track, track);
}

function named(event: Message, name: string, notes: Slice['notes'] | Instant['notes']): Message {
  event.string(TrackEvent.category, CATEGORY).string(TrackEvent.name, name);
  for (const [key, value] of Object.entries(notes)) {
    const note = new Message().string(Annotation.name, key);
    if (typeof value === 'number') note.uint(Annotation.uint, value);
    else note.string(Annotation.string, value);
    event.message(TrackEvent.annotation, note);
  }
  return event;
}

/** A slice without any length is an instant: its end would come before its begin. */
function slicePackets({ name, begin, end, notes }: Slice, track: number): Packet[] {
  const type = end === begin ? INSTANT : BEGIN;
  const length = Math.min(end - begin, 1e15);
  const packets = [{ time: begin, order: BEGINS - length / 1e16, event: named(eventOf(type, track), name, notes) }];
  if (type === BEGIN && end !== Number.POSITIVE_INFINITY) {
    packets.push({ time: end, order: ENDS, event: eventOf(END, track) });
  }
  return packets;
}

function instantPacket({ name, time, notes, leaves, arrives }: Instant, track: number): Packet {
  const event = named(eventOf(INSTANT, track), name, notes);
  if (leaves !== undefined) event.fixed64(TrackEvent.flow, leaves);
  if (arrives !== undefined) event.fixed64(TrackEvent.endOfFlow, arrives);
  return { time, order: BEGINS, event };
}

function counterPackets({ values }: Counter, track: number): Packet[] {
  return values.map(({ time, value }) => ({
    time,
    order: BEGINS,
    event: eventOf(COUNTER, track).uint(TrackEvent.value, value),
  }));
}
