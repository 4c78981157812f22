//! Finding keys by what somebody remembers of them.

use keywright_core::identifier::UserId;
use keywright_core::key::KeyRecord;
use keywright_core::lifecycle::{Status, Transition};
use keywright_core::permission::Grants;
use keywright_core::text::KeyName;
use keywright_store::{KeySearch, Remembered};

use crate::world::{World, keyspace_name, user};

contract! {
    a_key_is_found_by_how_its_name_begins,
    what_is_found_by_name_comes_in_pages_in_the_order_of_names,
    a_key_is_found_by_the_ends_of_its_text,
    a_search_is_narrowed_by_user_status_and_keyspace,
    a_narrowed_search_goes_on_where_it_stopped_looking,
    keys_are_counted_by_status_without_service_keys,
}

async fn named(world: &World, owner: &str, name: &str) -> KeyRecord {
    let mut record = world.draft(owner);
    record.key.name = KeyName::new(name).expect("a name");
    world.create(record).await
}

fn by(by: Remembered) -> KeySearch {
    KeySearch {
        by,
        user_id: None,
        status: None,
        keyspace: None,
        after: None,
        limit: 100,
    }
}

fn by_name(start: &str) -> KeySearch {
    by(Remembered::NameStart(start.to_owned()))
}

fn by_ends(prefix: Option<&str>, postfix: Option<&str>) -> KeySearch {
    by(Remembered::Ends {
        prefix: prefix.map(str::to_owned),
        postfix: postfix.map(str::to_owned),
    })
}

async fn found(world: &World, search: &KeySearch) -> Vec<KeyRecord> {
    let found = world.store.search_keys(search).await.unwrap();
    assert_eq!(found.next, None);
    found.entries
}

fn names(keys: &[KeyRecord]) -> Vec<&str> {
    keys.iter().map(|record| record.key.name.as_str()).collect()
}

async fn a_key_is_found_by_how_its_name_begins(world: World) {
    for name in [
        "Backup",
        "backup 2",
        "BACK",
        "bac",
        "ba\u{10ffff}",
        "bad",
        "100%_sure",
        "100 sure",
        "\u{10ffff}",
        "Übung",
    ] {
        named(&world, "alice", name).await;
    }
    world.service_key(Grants(1)).await;
    for (start, expected) in [
        ("back", vec!["BACK", "Backup", "backup 2"]),
        ("BACKUP", vec!["Backup", "backup 2"]),
        ("ba\u{10ffff}", vec!["ba\u{10ffff}"]),
        ("100%", vec!["100%_sure"]),
        ("100_", vec![]),
        ("\u{10ffff}", vec!["\u{10ffff}"]),
        ("Ü", vec!["Übung"]),
        ("ü", vec![]),
        ("\'; --", vec![]),
    ] {
        assert_eq!(
            names(&found(&world, &by_name(start)).await),
            expected,
            "{start}"
        );
    }
    // Everything begins like nothing; service keys are nobody's.
    assert_eq!(found(&world, &by_name("")).await.len(), 10);
}

/// Page after page.
async fn read_all(world: &World, mut search: KeySearch) -> Vec<KeyRecord> {
    let mut read: Vec<KeyRecord> = Vec::new();
    loop {
        let found = world.store.search_keys(&search).await.unwrap();
        assert!(found.entries.len() <= search.limit as usize);
        read.extend(found.entries);
        if found.next.is_none() {
            return read;
        }
        search.after = found.next;
    }
}

async fn what_is_found_by_name_comes_in_pages_in_the_order_of_names(world: World) {
    for name in ["b", "B", "b", "ba", "a", "Bä", "b!", "c", "B"] {
        named(&world, "alice", name).await;
    }
    let expected = found(&world, &by_name("b")).await;
    assert_eq!(expected.len(), 7);
    let order = |record: &KeyRecord| (record.key.name.as_str().to_ascii_lowercase(), record.key.id);
    assert!(expected.is_sorted_by_key(order));
    for user_id in [None, Some(user("alice"))] {
        for limit in 1..8 {
            let search = KeySearch {
                user_id: user_id.clone(),
                limit,
                ..by_name("b")
            };
            let read = read_all(&world, search).await;
            assert_eq!(read, expected, "{limit} a page");
        }
    }
}

async fn a_key_is_found_by_the_ends_of_its_text(world: World) {
    let mut keys = Vec::new();
    for (prefix, postfix) in [
        ("agpt_aaa", "11111111"),
        ("agpt_aaa", "22222222"),
        ("agpt_bbb", "22222222"),
    ] {
        let mut record = world.draft("alice");
        (record.key.prefix, record.key.postfix) = (prefix.to_owned(), postfix.to_owned());
        keys.push(world.create(record).await);
    }
    let [first, second, third] = <[KeyRecord; 3]>::try_from(keys).expect("three");
    let prefix = found(&world, &by_ends(Some("agpt_aaa"), None)).await;
    assert_eq!(prefix, [second.clone(), first.clone()]);
    let postfix = found(&world, &by_ends(None, Some("22222222"))).await;
    assert_eq!(postfix, [third.clone(), second.clone()]);
    let both = found(&world, &by_ends(Some("agpt_aaa"), Some("22222222"))).await;
    assert_eq!(both, [second]);
    // Whole, and with its case.
    for (prefix, postfix) in [
        (Some("agpt_aa"), None),
        (Some("AGPT_AAA"), None),
        (None, Some("2222222")),
        (Some("agpt_bbb"), Some("11111111")),
    ] {
        assert_eq!(found(&world, &by_ends(prefix, postfix)).await, []);
    }
    let one = KeySearch {
        limit: 1,
        ..by_ends(None, Some("22222222"))
    };
    let found = world.store.search_keys(&one).await.unwrap();
    assert_eq!((found.entries, found.next), (vec![third], None));
}

async fn a_search_is_narrowed_by_user_status_and_keyspace(world: World) {
    let other = crate::keyspaces::make(&world, "other", "other_").await;
    let suspended = named(&world, "alice", "one").await;
    world.transition(&suspended, Transition::Suspend).await;
    let suspended = world.look_up(&suspended).await;
    let active = named(&world, "alice", "one").await;
    let bobs = named(&world, "bob", "one").await;
    let mut elsewhere = world.draft_in(other, user("alice"));
    elsewhere.key.name = KeyName::new("one").unwrap();
    let elsewhere = world.create(elsewhere).await;
    let service = world.service_key(Grants(1)).await;

    let mut all = vec![
        suspended.clone(),
        active.clone(),
        bobs.clone(),
        elsewhere.clone(),
    ];
    all.sort_by_key(|record| record.key.id);
    assert_eq!(found(&world, &by_name("one")).await, all);
    let of_user = |id: &UserId| KeySearch {
        user_id: Some(id.clone()),
        ..by_name("one")
    };
    assert_eq!(found(&world, &of_user(&user("bob"))).await, [bobs]);
    let of_status = KeySearch {
        status: Some(Status::Suspended),
        ..by_name("one")
    };
    assert_eq!(found(&world, &of_status).await, [suspended]);
    let of_keyspace = KeySearch {
        keyspace: Some(keyspace_name("other")),
        ..by_name("one")
    };
    assert_eq!(found(&world, &of_keyspace).await, [elsewhere]);
    let of_service = KeySearch {
        user_id: Some(UserId::reserved()),
        ..by_name("")
    };
    assert_eq!(found(&world, &of_service).await, [service]);
}

async fn a_narrowed_search_goes_on_where_it_stopped_looking(world: World) {
    let most = KeySearch::MOST_LOOKED_THROUGH as usize;
    let mut suspended = Vec::new();
    for number in 0..most + 50 {
        let record = named(&world, "alice", &format!("n{number:05}")).await;
        if [3, 4, 5, most + 40].contains(&number) {
            world.transition(&record, Transition::Suspend).await;
            suspended.push(world.look_up(&record).await);
        }
    }
    for limit in [1, 2, 3, 100] {
        let search = KeySearch {
            status: Some(Status::Suspended),
            limit,
            ..by_name("n")
        };
        assert_eq!(read_all(&world, search).await, suspended, "{limit} a page");
    }
    // No more is looked through than it says, though nothing is found.
    let none = KeySearch {
        status: Some(Status::Revoked),
        ..by_name("n")
    };
    let found = world.store.search_keys(&none).await.unwrap();
    assert_eq!(found.entries, []);
    let name = found.next.map(|next| next.name);
    assert_eq!(name, Some(format!("n{:05}", most - 1)));
    assert_eq!(read_all(&world, none).await, []);
}

async fn keys_are_counted_by_status_without_service_keys(world: World) {
    let none = Status::ALL.map(|status| (status, 0));
    assert_eq!(world.store.count_keys().await.unwrap(), none.into());
    world.service_key(Grants(1)).await;
    world.key("alice").await;
    world.key("bob").await;
    let third = world.key("bob").await;
    world.transition(&third, Transition::Revoke).await;
    let counted = world.store.count_keys().await.unwrap();
    let expected = [
        (Status::Active, 2),
        (Status::Suspended, 0),
        (Status::Revoked, 1),
    ];
    assert_eq!(counted, expected.into());
}
