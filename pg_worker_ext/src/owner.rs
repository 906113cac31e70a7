//! Acting as the owner of the tables.
//!
//! Whatever belongs to a user (functions, tables, triggers on them) is touched only after switching
//! to the tables' owner, in the way that the server itself does it for index expressions and
//! materialised views: unlike SET ROLE it cannot be undone by the code that runs under it. The
//! switch is held through the commit, because deferred triggers run there. Who the owner is comes
//! from the catalog caches alone, so nothing of a user's runs as superuser on the way.

use crate::transaction::{self, Trouble};
use pgrx::PgBox;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// What a transaction in a database came upon.
pub enum Found<R> {
    /// The extension is not installed.
    NoExtension,
    /// The extension is installed, but its tables are not there (yet).
    NoTables,
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
    unsafe { pg_sys::GetUserIdAndSecContext(&mut user, &mut context) };
    let result = transaction::run(|| {
        Ok(match owner() {
            Owner::NoExtension => Found::NoExtension,
            Owner::NoTables => Found::NoTables,
            Owner::Is(owner) => {
                become_owner(owner);
                Found::Done(body()?)
            }
        })
    });
    // A commit, unlike a rollback, leaves the switch to whoever made it.
    unsafe { pg_sys::SetUserIdAndSecContext(user, context) };
    result
}

fn owner() -> Owner {
    unsafe {
        if pg_sys::get_extension_oid(c"pg_worker_ext".as_ptr(), true) == pg_sys::InvalidOid {
            return Owner::NoExtension;
        }
        let schema = pg_sys::get_namespace_oid(c"public".as_ptr(), true);
        let table = pg_sys::get_relname_relid(c"worker_jobs".as_ptr(), schema);
        relation_owner(table).map_or(Owner::NoTables, Owner::Is)
    }
}

unsafe fn relation_owner(relation: pg_sys::Oid) -> Option<pg_sys::Oid> {
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
    unsafe {
        pg_sys::SetUserIdAndSecContext(owner, switch as i32);
        // The server refuses deferred triggers in a restricted context. A user's deferrable trigger
        // or foreign key must not stop our work, so it is made to fire at once: as the owner too.
        let mut all = PgBox::<pg_sys::ConstraintsSetStmt>::alloc_node(pg_sys::NodeTag::T_ConstraintsSetStmt);
        all.constraints = std::ptr::null_mut();
        all.deferred = false;
        pg_sys::AfterTriggerSetState(all.into_pg());
    }
}
