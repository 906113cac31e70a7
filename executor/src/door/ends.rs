//! The verbs that end a lease.

use std::collections::HashMap;
use std::sync::Arc;

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::pool::Durability::Sure;
use super::rows::column;
use super::{Door, DoorError, Ended, Lease, Parameter};

impl Door {
    pub async fn complete_job(&self, lease: &Lease) -> Result<Ended, DoorError> {
        let parameters: [Parameter<'_>; 2] = [(&lease.job_id, Type::UUID), (&lease.token, Type::UUID)];
        Ended::from_row(
            &self
                .one("select * from worker.complete_job($1, $2)", &parameters)
                .await?,
        )
    }

    /// Several at once, with one commit: how the lease with each of these tokens ended.
    pub async fn complete_jobs(&self, leases: &[Arc<Lease>]) -> Result<HashMap<Uuid, Ended>, DoorError> {
        let (ids, tokens): (Vec<Uuid>, Vec<Uuid>) =
            leases.iter().map(|lease| (lease.job_id, lease.token)).unzip();
        let parameters: [Parameter<'_>; 2] = [(&ids, Type::UUID_ARRAY), (&tokens, Type::UUID_ARRAY)];
        let sql = "select * from worker.complete_jobs($1, $2)";
        let rows = self.pool.rows(Sure, sql, &parameters).await?;
        rows.iter()
            .map(|row| Ok((column(row, "lease_token")?, Ended::from_row(row)?)))
            .collect()
    }

    pub async fn fail_job(&self, lease: &Lease, reason: &str, permanent: bool) -> Result<Ended, DoorError> {
        let parameters: [Parameter<'_>; 4] = [
            (&lease.job_id, Type::UUID),
            (&lease.token, Type::UUID),
            (&reason, Type::TEXT),
            (&permanent, Type::BOOL),
        ];
        Ended::from_row(
            &self
                .one("select * from worker.fail_job($1, $2, $3, $4)", &parameters)
                .await?,
        )
    }

    pub async fn release_job(&self, lease: &Lease, delay: i32, reason: &str) -> Result<Ended, DoorError> {
        let parameters: [Parameter<'_>; 4] = [
            (&lease.job_id, Type::UUID),
            (&lease.token, Type::UUID),
            (&delay, Type::INT4),
            (&reason, Type::TEXT),
        ];
        Ended::from_row(
            &self
                .one("select * from worker.release_job($1, $2, $3, $4)", &parameters)
                .await?,
        )
    }
}
