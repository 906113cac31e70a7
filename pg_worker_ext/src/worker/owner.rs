//! Acting as the owner of the tables.
//!
//! Whatever belongs to a user (functions, tables, triggers on them) is touched only after switching
//! to the tables' owner, in the way that the server itself does it for index expressions and
//! materialised views: unlike SET ROLE it cannot be undone by the code that runs under it. The
//! switch is held through the commit, because deferred triggers run there. Who the owner is comes
//! from the catalog caches alone, so nothing of a user's runs as superuser on the way.

use super::transaction::{self, Trouble};
use crate::process;
use pgrx::PgBox;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// What a transaction in a database came upon.
pub enum Found<R> {
    /// The extension is not installed.
    NoExtension,
    /// The extension is installed, but its tables are not there (yet).
    NoTables,
    /// Somebody drops, renames or copies the database and waits for everybody to go.
    DatabaseInUse,
    /// The work was done as the owner of the tables.
    Done(R),
}

enum Owner {
    NoExtension,
    NoTables,
    Is(pg_sys::Oid),
}

/// Runs `body` as the owner of the tables, in a transaction of its own, if there are tables.
pub fn run<R>(body: impl FnOnce() -> Result<R, spi::Error>) -> Result<Found<R>, Trouble> {
    let (mut user, mut context) = (pg_sys::InvalidOid, 0);
    // SAFETY: it writes into the two given places only.
    unsafe { pg_sys::GetUserIdAndSecContext(&raw mut user, &raw mut context) };
    let result = transaction::run(|| {
        if !hold_database() {
            return Ok(Found::DatabaseInUse);
        }
        Ok(match owner() {
            Owner::NoExtension => Found::NoExtension,
            Owner::NoTables => Found::NoTables,
            Owner::Is(owner) => {
                become_owner(owner);
                Found::Done(body()?)
            }
        })
    });
    // SAFETY: what was read above. A commit, unlike a rollback, leaves the switch to whoever made it.
    unsafe { pg_sys::SetUserIdAndSecContext(user, context) };
    result
}

/// Takes the lock on the database that connecting takes, until the end of the transaction; false where somebody holds one
/// against it, as those do who drop, rename or copy it. So they wait for one step at most.
fn hold_database() -> bool {
    let database = pg_sys::LOCKTAG {
        locktag_field1: 0, // of no database: shared by all
        locktag_field2: pg_sys::DatabaseRelationId.to_u32(),
        locktag_field3: process::database().to_u32(),
        locktag_field4: 0,
        locktag_type: pg_sys::LockTagType::LOCKTAG_OBJECT as u8,
        locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
    };
    let (of_session, wait) = (false, false);
    // SAFETY: within a transaction, whose end gives the lock back.
    let taken = unsafe { pg_sys::LockAcquire(&database, pg_sys::RowExclusiveLock as i32, of_session, !wait) };
    taken != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
}

fn owner() -> Owner {
    // SAFETY: within a transaction; the names are constants, and a missing schema gives an oid that nothing has.
    let table = unsafe {
        if pg_sys::get_extension_oid(c"pg_worker_ext".as_ptr(), true) == pg_sys::InvalidOid {
            return Owner::NoExtension;
        }
        let schema = pg_sys::get_namespace_oid(c"public".as_ptr(), true);
        pg_sys::get_relname_relid(c"worker_jobs".as_ptr(), schema)
    };
    relation_owner(table).map_or(Owner::NoTables, Owner::Is)
}

fn relation_owner(relation: pg_sys::Oid) -> Option<pg_sys::Oid> {
    // SAFETY: within a transaction; a row of the cache is read before it is released.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::RELOID as i32, relation.into());
        if tuple.is_null() {
            return None;
        }
        let form: *const pg_sys::FormData_pg_class = pg_sys::GETSTRUCT(tuple).cast();
        let owner = (*form).relowner;
        pg_sys::ReleaseSysCache(tuple);
        Some(owner)
    }
}

fn become_owner(owner: pg_sys::Oid) {
    let switch = pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION;
    // SAFETY: `run` sets the user back when the transaction has ended, a rollback does so by itself.
    unsafe { pg_sys::SetUserIdAndSecContext(owner, switch as i32) };
    // The server refuses deferred triggers in a restricted context. A user's deferrable trigger
    // or foreign key must not stop our work, so it is made to fire at once: as the owner too.
    // SAFETY: the node is complete (SET CONSTRAINTS ALL IMMEDIATE) and lives as long as the transaction.
    unsafe {
        let mut all = PgBox::<pg_sys::ConstraintsSetStmt>::alloc_node(pg_sys::NodeTag::T_ConstraintsSetStmt);
        all.constraints = std::ptr::null_mut();
        all.deferred = false;
        pg_sys::AfterTriggerSetState(all.into_pg());
    }
}
