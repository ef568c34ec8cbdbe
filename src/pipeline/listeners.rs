//! Who listens on this node: for runs outside, and for consoles.
//!
//! Owns how many may listen at once, and that a frame is taken by one listener at most. It knows
//! neither what a frame holds nor how it travels.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use zeroize::Zeroizing;

use crate::id::Id;

/// How many listeners one principal may have on a node.
pub const MOST_OF_ONE: usize = 8;

/// How many listeners a node has at most.
pub const MOST: usize = 128;

/// How many frames wait for one listener; then it counts as too slow.
const WAITING: usize = 16;

/// How long a listener has to take a frame.
const TAKE: Duration = Duration::from_secs(5);

/// There is no room for another listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Full {
    /// The principal has as many as it may.
    #[error(
        "this token has {MOST_OF_ONE} connections for events on this node, which is the most; \
         close one"
    )]
    OfOne,
    /// The node has as many as it can hold.
    #[error("this node has {MOST} connections for events, which is the most; try again later")]
    OfAll,
}

/// All listeners of this node. Clones share them.
#[derive(Clone, Default)]
pub struct Listeners(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// By principal.
    seats: HashMap<String, usize>,
    taken: usize,
    /// By analysis; the one whose turn it is stands first.
    listening: HashMap<Id, Vec<Arc<Listener>>>,
}

/// Room for one connection, until this is dropped.
pub struct Seat {
    listeners: Listeners,
    principal: String,
}

/// One that listens for the runs of an analysis.
pub struct Listener {
    analysis: Id,
    /// The digest of the token that it showed.
    pub digest: [u8; 32],
    /// Where it connects from, if it does so over a network.
    pub peer: Option<SocketAddr>,
    offers: mpsc::Sender<Arc<Offer>>,
    dismissed: OnceLock<String>,
}

/// A [`Listener`], until this is dropped.
pub struct Listening {
    listeners: Listeners,
    listener: Arc<Listener>,
}

/// A frame that is offered to one listener: either it takes it, or the frame is taken back.
pub struct Offer {
    frame: Mutex<Option<Zeroizing<String>>>,
    taken: Notify,
}

impl Listeners {
    /// Room for another connection of a principal.
    ///
    /// # Errors
    ///
    /// Where it has, or all have, as many as there may be.
    pub fn seat(&self, principal: String) -> Result<Seat, Full> {
        let mut inner = self.lock();
        if inner.taken >= MOST {
            return Err(Full::OfAll);
        }
        let own = inner.seats.entry(principal.clone()).or_default();
        if *own >= MOST_OF_ONE {
            return Err(Full::OfOne);
        }
        *own += 1;
        inner.taken += 1;
        drop(inner);
        Ok(Seat { listeners: self.clone(), principal })
    }

    /// Begins to listen for the runs of an analysis, with the token of this digest.
    pub fn listen(
        &self,
        analysis: Id,
        digest: [u8; 32],
        peer: Option<SocketAddr>,
    ) -> (Listening, mpsc::Receiver<Arc<Offer>>) {
        let (offers, offered) = mpsc::channel(WAITING);
        let dismissed = OnceLock::new();
        let listener = Arc::new(Listener { analysis, digest, peer, offers, dismissed });
        self.lock().listening.entry(analysis).or_default().push(Arc::clone(&listener));
        (Listening { listeners: self.clone(), listener }, offered)
    }

    /// The analyses that somebody listens for.
    pub(super) fn analyses(&self) -> Vec<Id> {
        self.lock().listening.keys().copied().collect()
    }

    /// The listener of an analysis whose turn it is; the next turn is another one's.
    pub(super) fn next(&self, analysis: Id) -> Option<Arc<Listener>> {
        let mut inner = self.lock();
        let listening = inner.listening.get_mut(&analysis)?;
        listening.rotate_left(1);
        listening.last().cloned()
    }

    /// Lets a listener go, and says why. It gets no frame from now on.
    pub(super) fn dismiss(&self, listener: &Arc<Listener>, why: &str) {
        // The first reason counts.
        let _ = listener.dismissed.set(why.to_owned());
        self.remove(listener);
    }

    fn remove(&self, listener: &Arc<Listener>) {
        let mut inner = self.lock();
        let Some(listening) = inner.listening.get_mut(&listener.analysis) else { return };
        listening.retain(|other| !Arc::ptr_eq(other, listener));
        if listening.is_empty() {
            inner.listening.remove(&listener.analysis);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut inner = self.listeners.lock();
        inner.taken -= 1;
        if let Some(own) = inner.seats.get_mut(&self.principal) {
            *own -= 1;
            if *own == 0 {
                inner.seats.remove(&self.principal);
            }
        }
    }
}

impl Listening {
    /// Why it was let go, if it was.
    pub fn dismissed(&self) -> Option<&str> {
        self.listener.dismissed.get().map(String::as_str)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.listeners.remove(&self.listener);
    }
}

impl Listener {
    /// Offers a frame, and gives it back where the listener does not take it in time.
    pub(super) async fn offer(&self, frame: Zeroizing<String>) -> Result<(), Zeroizing<String>> {
        let offer = Arc::new(Offer { frame: Mutex::new(Some(frame)), taken: Notify::new() });
        if self.offers.try_send(Arc::clone(&offer)).is_ok() {
            // A connection that is gone takes nothing, and is not waited for.
            tokio::select! {
                () = offer.taken.notified() => {}
                () = self.offers.closed() => {}
                () = tokio::time::sleep(TAKE) => {}
            }
        }
        // Whoever takes it out of there has it: the listener, or the one that offers it.
        match offer.take() {
            Some(frame) => Err(frame),
            None => Ok(()),
        }
    }
}

impl Offer {
    /// Takes the frame, unless it was taken before.
    pub fn take(&self) -> Option<Zeroizing<String>> {
        let frame = self.frame.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.taken.notify_one();
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> Id {
        Id::from_bytes([number; 12])
    }

    fn frame(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    #[test]
    fn seats_are_counted_for_each_principal_and_for_all() {
        let listeners = Listeners::default();
        let seat = |principal: &str| listeners.seat(principal.to_owned());
        let mut own: Vec<_> = (0..MOST_OF_ONE).map(|_| seat("a").unwrap()).collect();
        assert_eq!(seat("a").err(), Some(Full::OfOne));
        own.pop();
        own.push(seat("a").unwrap());
        let others: Vec<_> = (0..MOST - MOST_OF_ONE).map(|n| seat(&n.to_string())).collect();
        assert!(others.iter().all(Result::is_ok));
        assert_eq!(seat("b").err(), Some(Full::OfAll));
        drop((own, others));
        assert!(seat("b").is_ok());
        assert!(listeners.lock().seats.is_empty());
    }

    #[tokio::test]
    async fn listeners_take_turns_and_leave_nothing_behind() {
        let listeners = Listeners::default();
        let peers = [1, 2].map(|port| Some(SocketAddr::from(([127, 0, 0, 1], port))));
        let listening = peers.map(|peer| listeners.listen(id(1), [0; 32], peer));
        assert_eq!(listeners.analyses(), [id(1)]);
        let turns: Vec<_> = (0..4).map(|_| listeners.next(id(1)).unwrap().peer).collect();
        assert_eq!(turns, [peers[0], peers[1], peers[0], peers[1]]);
        let first = listeners.next(id(1)).unwrap();
        listeners.dismiss(&first, "slow");
        assert_eq!(listening[0].0.dismissed(), Some("slow"));
        assert_eq!(listeners.next(id(1)).unwrap().peer, peers[1]);
        drop(listening);
        assert!(listeners.next(id(1)).is_none() && listeners.analyses().is_empty());
    }

    #[tokio::test]
    async fn a_frame_is_taken_once_or_comes_back() {
        let listeners = Listeners::default();
        let (_listening, mut offered) = listeners.listen(id(1), [0; 32], None);
        let listener = listeners.next(id(1)).unwrap();
        let taking = tokio::spawn(async move {
            let offer = offered.recv().await.unwrap();
            let frame = offer.take().unwrap();
            assert!(offer.take().is_none());
            (offered, frame)
        });
        assert!(listener.offer(frame("one")).await.is_ok());
        let (mut offered, taken) = taking.await.unwrap();
        assert_eq!(*taken, "one");
        // It goes away without taking it: the frame is not there any more for who comes late.
        let leaving = tokio::spawn(async move { offered.recv().await.unwrap() });
        assert_eq!(*listener.offer(frame("two")).await.unwrap_err(), "two");
        assert!(leaving.await.unwrap().take().is_none());
        assert_eq!(*listener.offer(frame("three")).await.unwrap_err(), "three");
    }
}
