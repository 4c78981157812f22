//! What a configuration consists of, and how much of everything happens in it.

use crate::clock::Pace;

/// The most processes.
pub const MOST_PROCESSES: usize = 3;

/// The most nodes that there ever are.
pub const MOST_NODES: usize = 3;

/// The most changes of a history.
pub const MOST_CHANGES: usize = 3;

/// The most verifications that are under way in a process at once.
pub const MOST_VERIFICATIONS: usize = 2;

/// A world that is small enough for every state of it to be visited.
///
/// There is no bound on time, on how many verifications come one after another, on how long anybody is stopped, and on
/// how late anything comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// What it is called.
    pub name: &'static str,
    /// The processes.
    pub processes: Vec<Role>,
    /// How many changes a history has.
    pub changes: u8,
    /// How far a node's renewals are counted.
    pub renewals: u8,
    /// How many verifications are under way in a process at once.
    pub verifications: usize,
    /// All clocks run alike, so that there is no margin: leases are long beside it. Else they drift.
    pub clocks_are_right: bool,
    /// What else happens.
    pub events: Events,
}

/// What happens, or does not, besides changes, verifications and renewals.
#[expect(clippy::struct_excessive_bools, reason = "each is an event of its own")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Events {
    /// Loads take several steps, and memory can be too full for the key. Else it is loaded at once when it is missing.
    pub loads_take_time: bool,
    /// Nodes give up before they are answered; what one of them asked for is done late.
    pub nodes_give_up: bool,
    /// Nodes take their leave.
    pub nodes_leave: bool,
    /// A node's process crashes, once, and is started again, as another node.
    pub node_crashes: bool,
    /// The database crashes, once.
    pub database_crashes: bool,
    /// The database is set back, once, to what it was at any time before.
    pub database_is_set_back: bool,
    /// Somebody tells nodes of changes that nobody committed.
    pub words_are_invented: bool,
}

/// What a process does.
#[expect(clippy::struct_excessive_bools, reason = "a process does any of them")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Role {
    /// It is a node: it decides verifications from memory.
    pub decides: bool,
    /// It has joined when the world begins, and has the key in memory.
    pub has_joined: bool,
    /// It changes the key.
    pub changes: bool,
    /// It is asked for changes that hold already.
    pub repeats: bool,
    /// It deletes nodes that have gone.
    pub deletes: bool,
}

impl Role {
    const NODE: Self = Self {
        decides: true,
        has_joined: true,
        changes: false,
        repeats: false,
        deletes: false,
    };

    const NEWCOMER: Self = Self {
        has_joined: false,
        ..Self::NODE
    };

    /// No node.
    const STRANGER: Self = Self {
        decides: false,
        ..Self::NEWCOMER
    };

    /// As a command does that writes to the database itself.
    const CHANGER: Self = Self::STRANGER.that_changes();

    const fn that_changes(self) -> Self {
        Self {
            changes: true,
            ..self
        }
    }

    const fn that_repeats(self) -> Self {
        Self {
            repeats: true,
            ..self
        }
    }

    const fn that_deletes(self) -> Self {
        Self {
            deletes: true,
            ..self
        }
    }

    /// Whether anything can go wrong by a clock of this pace that does not go wrong by one that is right.
    ///
    /// Who only uses leases uses them for a shorter time by a fast clock. Who only waits for leases to run out waits for a
    /// longer time by a slow one.
    pub const fn can_do_harm_at(self, pace: Pace) -> bool {
        match pace {
            Pace::Stands => self.decides,
            Pace::Keeps => true,
            Pace::Leaps => self.changes || self.repeats || self.deletes,
        }
    }
}

impl Bounds {
    const fn of(
        name: &'static str,
        processes: Vec<Role>,
        changes: u8,
        renewals: u8,
        events: Events,
    ) -> Self {
        Self {
            name,
            processes,
            changes,
            renewals,
            verifications: 1,
            clocks_are_right: false,
            events,
        }
    }

    /// Leases are renewed and run out, changes are made one after another, and a node is deleted and joins again.
    pub fn renewals() -> Self {
        let processes = vec![Role::NODE, Role::CHANGER.that_deletes()];
        Self::of("renewals", processes, 3, 5, Events::default())
    }

    /// The same with leases that can be renewed long before they run out.
    pub fn long_leases() -> Self {
        Self {
            name: "long_leases",
            clocks_are_right: true,
            ..Self::renewals()
        }
    }

    /// Nodes are told of what nobody committed.
    pub fn invented_words() -> Self {
        let processes = vec![Role::NODE, Role::CHANGER.that_deletes()];
        let events = Events {
            words_are_invented: true,
            ..Events::default()
        };
        Self::of("invented_words", processes, 2, 3, events)
    }

    /// One node changes the key; another joins and is asked for the same.
    pub fn two_nodes() -> Self {
        let processes = vec![Role::NEWCOMER.that_repeats(), Role::NODE.that_changes()];
        Self::of("two_nodes", processes, 1, 1, Events::default())
    }

    /// One process changes the key, another is asked for the same and deletes nodes.
    pub fn three_clocks() -> Self {
        let processes = vec![
            Role::NODE,
            Role::CHANGER,
            Role::STRANGER.that_repeats().that_deletes(),
        ];
        Self::of("three_clocks", processes, 1, 3, Events::default())
    }

    /// A node joins, and what it gave up asking for is done late.
    pub fn late_statements() -> Self {
        let processes = vec![Role::NEWCOMER, Role::CHANGER.that_deletes()];
        let events = Events {
            nodes_give_up: true,
            ..Events::default()
        };
        Self::of("late_statements", processes, 1, 3, events)
    }

    /// Nodes leave, crash and start again.
    pub fn departures() -> Self {
        let processes = vec![Role::NODE, Role::CHANGER.that_deletes()];
        let events = Events {
            nodes_leave: true,
            node_crashes: true,
            ..Events::default()
        };
        Self::of("departures", processes, 1, 2, events)
    }

    /// The database crashes.
    pub fn database_crashes() -> Self {
        let processes = vec![Role::NODE, Role::CHANGER.that_deletes()];
        let events = Events {
            database_crashes: true,
            ..Events::default()
        };
        Self {
            clocks_are_right: true,
            ..Self::of("database_crashes", processes, 2, 4, events)
        }
    }

    /// Verifications load the key while it changes elsewhere.
    pub fn loads() -> Self {
        let processes = vec![Role::NODE, Role::CHANGER];
        let events = Events {
            loads_take_time: true,
            ..Events::default()
        };
        Self {
            verifications: 2,
            ..Self::of("loads", processes, 3, 3, events)
        }
    }

    /// A node is deleted and joins again while verifications load the key.
    pub fn loads_and_deletions() -> Self {
        let processes = vec![Role::NODE, Role::CHANGER.that_deletes()];
        let events = Events {
            loads_take_time: true,
            ..Events::default()
        };
        Self::of("loads_and_deletions", processes, 2, 3, events)
    }

    /// Verifications load the key while it changes in the same process.
    pub fn loads_and_own_changes() -> Self {
        let processes = vec![Role::NODE.that_changes()];
        let events = Events {
            loads_take_time: true,
            ..Events::default()
        };
        Self {
            verifications: 2,
            ..Self::of("loads_and_own_changes", processes, 2, 2, events)
        }
    }

    /// The database is set back while verifications load the key.
    pub fn restores() -> Self {
        let processes = vec![Role::NODE, Role::CHANGER];
        let events = Events {
            loads_take_time: true,
            database_is_set_back: true,
            ..Events::default()
        };
        Self::of("restores", processes, 1, 3, events)
    }

    /// The database is set back while it changes in the process that loads.
    pub fn restores_and_own_changes() -> Self {
        let processes = vec![Role::NODE.that_changes()];
        let events = Events {
            loads_take_time: true,
            database_is_set_back: true,
            ..Events::default()
        };
        Self::of("restores_and_own_changes", processes, 1, 3, events)
    }

    /// The database is set back while leases are renewed long before they run out.
    pub fn restores_in_long_leases() -> Self {
        Self {
            name: "restores_in_long_leases",
            changes: 2,
            clocks_are_right: true,
            ..Self::restores()
        }
    }

    /// The database is set back while it changes in a node and elsewhere.
    pub fn restores_and_all_changes() -> Self {
        let processes = vec![Role::NODE.that_changes(), Role::CHANGER];
        let events = Events {
            database_is_set_back: true,
            ..Events::default()
        };
        Self::of("restores_and_all_changes", processes, 1, 2, events)
    }

    /// The database is set back while a node is taken for gone.
    pub fn restores_and_deletions() -> Self {
        let processes = vec![Role::NODE, Role::CHANGER.that_deletes()];
        let events = Events {
            database_is_set_back: true,
            ..Events::default()
        };
        Self::of("restores_and_deletions", processes, 1, 3, events)
    }
}
