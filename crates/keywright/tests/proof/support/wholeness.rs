//! What must hold in the tables after every change and between any two: all of a change is there, or nothing.

use super::Database;

/// Counts what is not whole, by one statement and so in one snapshot: one row for each kind of defect.
const DEFECTS: &str = "
SELECT 'keys whose creation is not in the audit log once', COUNT(*) FROM api_keys k
    WHERE 1 <> (SELECT COUNT(*) FROM audit_log a WHERE a.key_id = k.id AND a.action = 'api_key.created')
UNION ALL
SELECT 'creations without a key, of users not deleted', COUNT(*) FROM audit_log a
    WHERE a.action = 'api_key.created' AND NOT EXISTS (SELECT 1 FROM api_keys k WHERE k.id = a.key_id)
    AND NOT EXISTS (SELECT 1 FROM audit_log d WHERE d.action = 'user.deleted' AND d.user_id = a.user_id)
UNION ALL
SELECT 'keys that are revoked without an audit entry, or not revoked with one', COUNT(*) FROM api_keys k
    WHERE (k.status = 'REVOKED')
    <> EXISTS (SELECT 1 FROM audit_log a WHERE a.key_id = k.id AND a.action = 'api_key.revoked')
UNION ALL
SELECT 'keys that are suspended or not, unlike the number of their audit entries says', COUNT(*) FROM api_keys k
    WHERE k.status <> 'REVOKED' AND (CASE k.status WHEN 'SUSPENDED' THEN 1 ELSE 0 END)
    <> (SELECT COUNT(*) FROM audit_log a WHERE a.key_id = k.id AND a.action = 'api_key.suspended')
     - (SELECT COUNT(*) FROM audit_log a WHERE a.key_id = k.id AND a.action = 'api_key.reactivated')
UNION ALL
SELECT 'users whose count of keys is wrong', COUNT(*) FROM users u
    WHERE u.api_keys <> (SELECT COUNT(*) FROM api_keys k WHERE k.user_id = u.id)
UNION ALL
SELECT 'keys of nobody', COUNT(*) FROM api_keys k
    WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.id = k.user_id)
UNION ALL
SELECT 'gaps in the change log', (SELECT last_seq FROM cluster) - (SELECT COUNT(*) FROM change_log)
UNION ALL
SELECT 'rows of the change log beyond its end', COUNT(*) FROM change_log
    WHERE seq < 1 OR seq > (SELECT last_seq FROM cluster)
UNION ALL
SELECT 'changes of keys in one of audit log and change log only',
    (SELECT COUNT(*) FROM audit_log WHERE action LIKE 'api_key.%' AND action <> 'api_key.created')
    - (SELECT COUNT(*) FROM change_log WHERE kind = 'key')
UNION ALL
SELECT 'deletions of users in one of audit log and change log only',
    (SELECT COUNT(*) FROM audit_log WHERE action = 'user.deleted')
    - (SELECT COUNT(*) FROM change_log WHERE kind = 'user')
UNION ALL
SELECT 'changes of keyspaces in one of audit log and change log only',
    (SELECT COUNT(*) FROM audit_log WHERE action LIKE 'keyspace.%')
    - (SELECT COUNT(*) FROM change_log WHERE kind = 'keyspace')
";

/// Checks that every change in the tables is there with all that belongs to it.
#[track_caller]
pub(crate) fn assert_whole(database: &Database) {
    let mut defects = database.query(DEFECTS);
    assert_eq!(defects.len(), 11);
    defects.retain(|line| !line.ends_with("|0"));
    assert_eq!(defects, [] as [String; 0]);
}
