//! What is done to the cluster.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::process::Signal;

use crate::clock::now;
use crate::node::Node;
use crate::proxy::{Stall, Weather, Which};
use crate::trial::World;

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// What the node and the database say to each other comes late, on every connection or on some: so what overtakes
    /// what is another thing each time.
    Slow,
    /// Nothing of it comes, for a while.
    Stall,
    /// The database hears the node and does what it asks, and the node hears nothing of it.
    StallAnswers,
    /// One connection of several is stalled: that on which it renews and hears of changes, say, or that on which it changes.
    StallSome,
    /// Its connections break, and new ones too, for a while.
    Cut,
    /// The process is held still, for longer than its lease.
    Stop,
    /// The same, while it makes a change.
    StopInChange,
    /// `kill -9`, and started again.
    Kill,
    /// The database is stopped in order, and started again.
    RestartDatabase,
    /// The database is stopped at once, and started again.
    AbortDatabase,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Slow,
        Self::Stall,
        Self::StallAnswers,
        Self::StallSome,
        Self::Cut,
        Self::Stop,
        Self::StopInChange,
        Self::Kill,
        Self::RestartDatabase,
        Self::AbortDatabase,
    ];

    fn is_of_the_database(self) -> bool {
        matches!(self, Self::RestartDatabase | Self::AbortDatabase)
    }
}

/// Does one thing after the other, until there were enough or the trial is over.
pub(crate) async fn disturb(world: Arc<World>, mut random: fastrand::Rng) {
    while !world.is_over() {
        let kinds = &world.settings.faults;
        // The database has less than its share: nothing is learnt while it is away.
        let kind = kinds[random.usize(0..kinds.len())];
        if kind.is_of_the_database() && random.u8(0..3) > 0 {
            continue;
        }
        let lease = world.settings.lease;
        let node = world.nodes[random.usize(0..world.nodes.len())].clone();
        let taken = if kind.is_of_the_database() {
            &world.database_taken
        } else {
            &node.taken
        };
        if taken.swap(true, Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        }
        let at = (!kind.is_of_the_database()).then_some(node.number);
        let began = world.fault_begins(at);
        inflict(&world, kind, &node, lease, &mut random).await;
        world.fault_ends(began, kind);
        taken.store(false, Ordering::Relaxed);
        let rest = lease.mul_f64(random.f64() * 0.5);
        tokio::time::sleep(rest).await;
    }
}

async fn inflict(
    world: &World,
    kind: Fault,
    node: &Arc<Node>,
    lease: Duration,
    random: &mut fastrand::Rng,
) {
    let mut some = |least: f64, most: f64| lease.mul_f64(least + (most - least) * random.f64());
    match kind {
        Fault::Slow => {
            let (most, time) = (some(0.01, 0.1), some(0.5, 2.0));
            let one_in = random.u64(1..4);
            let nth = random.u64(0..one_in);
            weather(node, Weather::Slow(most, Which { one_in, nth }), time).await;
        }
        Fault::Stall => stall(node, true, Which::ALL, some(0.2, 2.2)).await,
        Fault::StallAnswers => stall(node, false, Which::ALL, some(0.2, 2.2)).await,
        Fault::StallSome => {
            let time = some(0.5, 2.2);
            let nth = random.u64(0..3);
            stall(node, true, Which { one_in: 3, nth }, time).await;
        }
        Fault::Cut => weather(node, Weather::Cut, some(0.05, 2.0)).await,
        Fault::Stop => stop(node, some(1.1, 2.0)).await,
        Fault::StopInChange => {
            let until = now() + lease;
            while node.changing.load(Ordering::Relaxed) == 0 && now() < until {
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
            tokio::time::sleep(Duration::from_micros(random.u64(0..8_000))).await;
            let time = lease.mul_f64(1.1 + random.f64());
            stop(node, time).await;
        }
        Fault::Kill => {
            node.kill();
            tokio::time::sleep(some(0.0, 1.0)).await;
            node.start().await;
        }
        Fault::RestartDatabase | Fault::AbortDatabase => {
            let database = world.database.clone();
            let away = some(0.0, 1.0);
            let done = tokio::task::spawn_blocking(move || {
                if kind == Fault::AbortDatabase {
                    database.abort();
                } else {
                    database.stop();
                }
                std::thread::sleep(away);
                database.start_again();
            });
            done.await.expect("the database starts again");
            world.watch_recovery().await;
        }
    }
}

async fn stall(node: &Node, questions: bool, of: Which, time: Duration) {
    let stall = Stall {
        questions,
        answers: true,
        of,
    };
    weather(node, Weather::Stalled(stall), time).await;
}

async fn weather(node: &Node, weather: Weather, time: Duration) {
    node.proxy.set(weather);
    tokio::time::sleep(time).await;
    node.proxy.set(Weather::Fair);
}

async fn stop(node: &Node, time: Duration) {
    node.signal(Signal::STOP);
    tokio::time::sleep(time).await;
    node.signal(Signal::CONT);
}
