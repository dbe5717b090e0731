//! Usage, limits and requests for more, over numbers that are made up.

use crate::{
    fake::{Fake, only_administrators},
    sample::{self, ago, id},
};
use app::ports::Usage;
use async_trait::async_trait;
use contract::*;

#[async_trait]
impl Usage for Fake {
    async fn report(&self, caller: &Caller, whose: Whose, days: u16, by: Breakdown) -> Answer<UsageReport> {
        if whose != Whose::Mine {
            only_administrators(caller)?;
        }
        let mut report = sample::usage(days, whose == Whose::Everyone, by);
        if caller.name == "New Person" {
            report = UsageReport {
                totals: Totals::default(),
                by_day: vec![],
                by_model: vec![],
                by_person: vec![],
                by_group: vec![],
                by_runtime: vec![],
                by_key: vec![],
                ..report
            };
        }
        Ok(report)
    }
    async fn budgets(&self, caller: &Caller, _: Option<PersonId>) -> Answer<Vec<BudgetView>> {
        let view = |number, subject, name: &str, window, unit, amount, settled, reserved| BudgetView {
            budget_id: BudgetId(id(number)),
            subject,
            name: name.to_owned(),
            set_by: SetBy::Administrator,
            window,
            unit,
            amount,
            extra: 0,
            settled,
            reserved,
            resets_at: Some(ago(-13_000)),
        };
        let settled = if caller.name == "New Person" { 0 } else { 11_840_000 };
        let ada = Subject::Person(caller.person_id);
        Ok(vec![
            view(600, ada, &caller.name, Window::Month, Unit::Money, self.state().limit, settled, settled / 15),
            view(601, Subject::Everyone, "", Window::Day, Unit::Tokens, 500_000, settled / 26, 0),
        ])
    }
    async fn all_budgets(&self, caller: &Caller) -> Answer<Vec<BudgetView>> {
        only_administrators(caller)?;
        let mut limits = self.budgets(caller, None).await?;
        let group = Subject::Group(GroupId(id(610)));
        let model = Subject::Model(ModelId(id(300)));
        let first = limits.first().cloned();
        limits.extend(first.clone().map(|limit| BudgetView {
            budget_id: BudgetId(id(602)),
            subject: group,
            name: "Research".to_owned(),
            ..limit
        }));
        limits.extend(first.map(|limit| BudgetView {
            budget_id: BudgetId(id(603)),
            subject: model,
            name: "claude-opus".to_owned(),
            window: Window::Total,
            unit: Unit::Concurrency,
            amount: 8,
            settled: 0,
            reserved: 7,
            resets_at: None,
            ..limit
        }));
        Ok(limits)
    }
    async fn subjects(&self, caller: &Caller) -> Answer<Vec<SubjectView>> {
        only_administrators(caller)?;
        let one = |subject, name: &str| SubjectView { subject, name: name.to_owned() };
        Ok(vec![one(Subject::Group(GroupId(id(610))), "Research"), one(Subject::Model(ModelId(id(300))), "claude-opus")])
    }
    async fn set_budget(&self, caller: &Caller, change: BudgetChange, _: SetBy) -> Answer<()> {
        only_administrators(caller)?;
        if let (Window::Month, Some(amount)) = (change.window, change.amount) {
            self.state().limit = amount;
        }
        Ok(())
    }
    async fn ask_more(&self, _: &Caller, _: NewRequest) -> Answer<()> {
        Ok(())
    }
    async fn own_requests(&self, caller: &Caller) -> Answer<Vec<RequestView>> {
        if caller.name == "New Person" { Ok(vec![]) } else { Ok(sample::requests(caller)) }
    }
    async fn requests(&self, caller: &Caller) -> Answer<Vec<RequestView>> {
        only_administrators(caller)?;
        Ok(sample::requests(caller))
    }
    async fn waiting_requests(&self, caller: &Caller) -> Answer<i64> {
        only_administrators(caller)?;
        Ok(1)
    }
    async fn answer_request(&self, caller: &Caller, _: RequestId, _: MoreAnswer, _: &str) -> Answer<()> {
        only_administrators(caller)
    }
}
