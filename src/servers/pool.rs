//! Rooms and servers that wait for their next use, and no more episodes at once than there are cores.
//!
//! A server that keeps nothing is lent for a call; a room is lent for an episode. A room whose servers have memory of their own is
//! made ready again on a thread of its own as soon as it comes back, and there are twice as many of those rooms, so that one is ready
//! when the next episode begins.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{
    mcp::Client,
    room::{Den, Room},
};

/// What waits.
#[derive(Default)]
struct Waiting {
    rooms: Vec<Room>,
    /// Rooms that are being made ready.
    returning: usize,
    /// Episodes that go on.
    episodes: usize,
}

/// The rooms.
pub(super) struct Rooms {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    concurrency: usize,
}

impl Rooms {
    pub(super) fn new(concurrency: usize) -> Self {
        Self { waiting: Mutex::default(), changed: Condvar::new(), concurrency: concurrency.max(1) }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until one more episode may go on, and takes a room; `None`: a new one is to be made.
    pub(super) fn take(&self) -> Option<Room> {
        let mut waiting = self.waiting();
        loop {
            if waiting.episodes < self.concurrency {
                if let Some(room) = waiting.rooms.pop() {
                    waiting.episodes += 1;
                    return Some(room);
                }
                // So there are never more than twice as many rooms as episodes.
                if waiting.returning <= self.concurrency {
                    waiting.episodes += 1;
                    return None;
                }
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Says that an episode has ended.
    pub(super) fn ended(&self) {
        self.waiting().episodes -= 1;
        self.changed.notify_all();
    }

    /// Gives a room back.
    pub(super) fn give(&self, room: Room) {
        self.waiting().rooms.push(room);
        self.changed.notify_all();
    }

    /// Gives a room back after `ready` has made it ready, elsewhere; a room that it drops is gone.
    pub(super) fn give_after(self: &Arc<Self>, room: Room, ready: impl FnOnce(Room) -> Option<Room> + Send + 'static) {
        self.waiting().returning += 1;
        let rooms = Arc::clone(self);
        let spawned = std::thread::Builder::new().name("tool-room".to_owned()).spawn(move || {
            // Counted down even if making ready panics.
            let returning = Returning { rooms: &rooms };
            if let Some(room) = ready(room) {
                rooms.waiting().rooms.push(room);
            }
            drop(returning);
        });
        if spawned.is_err() {
            self.waiting().returning -= 1;
            self.changed.notify_all();
        }
    }
}

struct Returning<'a> {
    rooms: &'a Rooms,
}

impl Drop for Returning<'_> {
    fn drop(&mut self) {
        self.rooms.waiting().returning -= 1;
        self.rooms.changed.notify_all();
    }
}

/// Servers of one suite that keep nothing, each with a folder of its own.
#[derive(Default)]
pub(super) struct Idle {
    servers: Mutex<Vec<(Client, Den)>>,
}

impl Idle {
    /// Takes a server that waits.
    pub(super) fn take(&self) -> Option<(Client, Den)> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Gives a server back, if it can be used again.
    pub(super) fn give(&self, server: (Client, Den)) {
        if server.0.is_usable() {
            self.servers.lock().unwrap_or_else(PoisonError::into_inner).push(server);
        }
    }
}
