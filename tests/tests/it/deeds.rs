//! What the owner of our tables may do to them, times what a game, an executor and he himself then do: a clear error
//! at most. Never a dead session, never an error from the server's inside, and whoever is next door notices nothing.

mod cells;
mod list;
mod prepared;
mod served;
mod triggers;
mod verbs;

use crate::model::setting;
pub use cells::after_crash;
use cells::{Account, Trier};
use list::Deed;
use pg_worker_tests::Cluster;
use prepared::Install;

/// Tries one of `share` of all deeds, of those to the queue itself three times as many.
fn matrix(cluster: &Cluster, install: Install, share: usize) -> Account {
    prepared::make_roles(cluster);
    prepared::prepare(cluster, "prepared", install);
    let mut session = cluster.session("prepared");
    let tables = prepared::tables(&mut session);
    assert!(tables.len() > 15, "{} tables", tables.len());
    let ours = prepared::trigger_functions(&mut session);
    drop(session);
    let all = list::deeds(&tables, &ours);
    let seed = setting("DEEDS_SEED", 0) as usize;
    let mut trier = Trier::new(cluster, "prepared");
    // Each verb has something to do, and does it, where nobody has done anything.
    trier.try_deed(&list::nothing());
    assert!(trier.account.errors.is_empty(), "{:?}", trier.account.first_words);
    for (n, deed) in all.iter().enumerate() {
        let every = if is_heart(deed) { share.div_ceil(3) } else { share };
        if (n + seed).is_multiple_of(every) {
            trier.try_deed(deed);
        }
    }
    trier.account
}

fn is_heart(deed: &Deed) -> bool {
    deed.table == "public.worker_jobs"
}

fn extension(share: usize) {
    let cluster = Cluster::own(&["pg_worker_ext.background_worker = off"]);
    let account = matrix(&cluster, Install::Extension, share);
    account.show("extension");
    account.is_clean();
}

fn single_file(share: usize) {
    let account = matrix(&Cluster::start(&[]), Install::SqlOnly, share);
    account.show("single file");
    account.is_clean();
}

#[test]
fn whatever_the_owner_does_each_verb_gives_a_clear_error_at_most() {
    extension(37);
}

#[test]
fn so_it_is_without_the_extension() {
    single_file(97);
}

fn our_triggers(all_arguments: bool) {
    let cluster = Cluster::own(&["pg_worker_ext.background_worker = off"]);
    prepared::make_roles(&cluster);
    prepared::prepare(&cluster, "prepared", Install::Extension);
    let ours = prepared::trigger_functions(&mut cluster.session("prepared"));
    let account = triggers::triggers(&cluster, "prepared", &ours, all_arguments);
    account.show("our trigger functions on other tables");
    account.is_clean();
}

#[test]
fn our_trigger_functions_harm_no_other_table() {
    our_triggers(false);
}

#[test]
#[ignore = "with all arguments: scripts/suites/deeds.sh"]
fn our_trigger_functions_harm_no_other_table_whatever_they_are_given() {
    our_triggers(true);
}

#[test]
fn a_background_worker_serves_on_whatever_the_owner_next_door_does() {
    let account = served::served(211);
    account.show("beside a background worker");
    account.is_clean();
}

#[test]
#[ignore = "seven thousand deeds take half an hour: scripts/suites/deeds.sh"]
fn all_deeds_of_an_owner() {
    extension(1);
}

#[test]
#[ignore = "seven thousand deeds take half an hour: scripts/suites/deeds.sh"]
fn all_deeds_of_an_owner_without_the_extension() {
    single_file(1);
}
