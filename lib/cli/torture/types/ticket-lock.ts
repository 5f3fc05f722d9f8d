import { TicketLock } from '../../../locking/ticket-lock.ts';
import { spinningType } from './spinning.ts';

export const ticketLock = spinningType(
  'ticket-lock',
  'TicketLock: first come, first served, all spinning on one word',
  TicketLock,
);
