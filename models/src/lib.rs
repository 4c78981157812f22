//! The protocol by which several nodes over one database keep the promise of invariant I2, as a model of which every
//! state is visited:
//!
//! > After a change has answered, no verification that starts later on any node is decided by the older state.
//!
//! DESIGN §5 is the protocol with its reasons. Here it is taken apart into steps between which anything else can happen,
//! and [`stateright`] tries all orders of them. [`rules::Rules`] names what the protocol consists of; each of its rules
//! can be changed alone, and then the checker finds how the promise is broken, which shows both that the rule is needed
//! and that the model would notice.
//!
//! # How to read it
//!
//! A [`State`](cluster::State) is one database, some processes, and what was promised. A [`Step`](cluster::Step) is
//! what one of them does next, or a tick of time. There is no scheduler: a process that is slow, stopped (SIGSTOP), cut
//! off or dead is one that takes no step while others do and time goes on, and this is possible after each of its
//! steps, for any time. What each step does is in the module of what it is about:
//!
//! - [`following`]: a node renews its lease, follows the log, begins anew, leaves;
//! - [`verifying`] and [`loading`]: a verification is decided from memory, and the key gets into memory;
//! - [`changing`]: the key is changed, and this is answered; somebody asks for the same again;
//! - [`sighting`]: nodes that have gone are deleted;
//! - [`database`]: what one statement does, what a crash loses, how the database is set back;
//! - [`clock`]: what time is, and how wrong clocks are.
//!
//! There is one key. Its states are the changes of it, so that a state is older than another if its change is.
//!
//! # What is assumed
//!
//! - Over any span of up to a lease, no process's clock is off by more than the margin: with a lease of 2 ticks and a
//!   margin of 1, a clock stands, keeps or leaps at every tick, but neither stands nor leaps twice in a row. Such a clock
//!   can be twice as fast as another for ever. Such a lease is hardly renewed before it runs out, so in some
//!   configurations all clocks are right, and there is no margin.
//! - A statement is done at one moment, wholly or not at all, on the one primary; a transaction is one statement. A
//!   durable commit makes everything durable that was committed before it.
//! - A node does one thing at a time about its lease and the log.
//! - What was on its way when the database is set back is lost, and nobody reaches it for a lease. Whoever is about to ask
//!   it then asks what it is set back to.
//!
//! # What is left out since it changes nothing
//!
//! - A verification that asks the primary ends there: it is decided by the newest state, whatever happened before.
//! - A verification begins when it takes its first look, and a change is answered in the step that reads what it waits
//!   for. To begin earlier or to answer later would promise less.
//! - By a fast clock, a process that only uses leases uses them for a shorter time, and by a slow one, a process that
//!   only waits waits for a longer time; so these clocks are not tried (`Role::can_do_harm_at`). (A node that loses its
//!   lease sooner begins anew sooner.)
//! - What a clock does while a process measures nothing by it.
//! - Hearing of a change when there is nothing to be read or told.
//! - By how much a node counts its renewals up beyond those of which it had no answer: they are compared, and no more.
//! - That a process forgets what it saw of nodes when the database does not answer, and that a node does not tell twice
//!   how far it has applied the log. To remember deletes no fewer nodes, and to tell again says nothing new.
//! - A verification that waits for a load while its lease runs out gives up then, and not when it has the key.
//! - A node's second look at its lease may come later than the answer to its renewal. It would find no less.
//!
//! # What is not modelled
//!
//! More than one key and the order of lookups among them (but that a change was of another, once it is lost), keyspaces,
//! users; trimming of the log (a node that does not find its place begins anew, as after a restore); two tasks of one
//! process that follow the log at the same time; standbys, and two primaries at a time; a second restore or crash; a
//! margin that does not hold; how soon anything happens, so that a change which never answers would not be noticed, and
//! neither would a load that never ends.
#![doc = include_str!("../EXPLORED.md")]

pub mod bounds;
pub mod changing;
pub mod clock;
pub mod cluster;
pub mod database;
pub mod exploration;
pub mod following;
pub mod loading;
pub mod process;
pub mod promise;
pub mod rules;
pub mod sighting;
pub mod verifying;
pub mod witness;
