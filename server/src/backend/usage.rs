//! The app's `usage` port.

use super::Backend;
use crate::model::{more, usage};
use app::ports::Usage;
use async_trait::async_trait;
use contract::{
    Answer, Breakdown, BudgetChange, BudgetView, Caller, MoreAnswer, NewRequest, PersonId, RequestId, RequestView, SetBy, SubjectView,
    UsageReport, Whose,
};

#[async_trait]
impl Usage for Backend {
    async fn report(&self, caller: &Caller, whose: Whose, days: u16, by: Breakdown) -> Answer<UsageReport> {
        Ok(usage::report(&self.models, caller, whose, days, by).await?)
    }

    async fn budgets(&self, caller: &Caller, person: Option<PersonId>) -> Answer<Vec<BudgetView>> {
        Ok(usage::budgets(&self.models, caller, person).await?)
    }

    async fn all_budgets(&self, caller: &Caller) -> Answer<Vec<BudgetView>> {
        Ok(usage::all_budgets(&self.models, caller).await?)
    }

    async fn subjects(&self, caller: &Caller) -> Answer<Vec<SubjectView>> {
        Ok(usage::subjects(&self.models, caller).await?)
    }

    async fn set_budget(&self, caller: &Caller, change: BudgetChange, of: SetBy) -> Answer<()> {
        match of {
            SetBy::Administrator => usage::set_budget(&self.models, caller, change).await?,
            SetBy::Owner => usage::replace_owners(&self.models, caller, change).await?,
        }
        Ok(())
    }

    async fn ask_more(&self, caller: &Caller, wish: NewRequest) -> Answer<()> {
        Ok(more::ask(&self.models, caller, wish).await?)
    }

    async fn own_requests(&self, caller: &Caller) -> Answer<Vec<RequestView>> {
        Ok(more::own(&self.models, caller).await?)
    }

    async fn requests(&self, caller: &Caller) -> Answer<Vec<RequestView>> {
        Ok(more::all(&self.models, caller).await?)
    }

    async fn waiting_requests(&self, caller: &Caller) -> Answer<i64> {
        Ok(more::waiting(&self.models, caller).await?)
    }

    async fn answer_request(&self, caller: &Caller, request: RequestId, answer: MoreAnswer, word: &str) -> Answer<()> {
        Ok(more::answer(&self.models, caller, request, answer, word).await?)
    }
}
