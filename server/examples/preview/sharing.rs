//! Sharing over made-up persons: Ada's first runtime is watched by one and used fully by another, and one of Mira's is shared with her.

use crate::{
    fake::Fake,
    sample::{self, ago, id},
};
use app::ports::Sharing;
use async_trait::async_trait;
use contract::*;

pub fn samples() -> Vec<ShareView> {
    let share = |number, person: PersonView, access, minutes| ShareView {
        share_id: ShareId(id(number)),
        person: person.name,
        email: person.email,
        access,
        ends_at: ago(minutes),
    };
    let mut people = sample::people().into_iter().skip(2);
    [(960, Access::Watch, -300), (961, Access::Full, -9_000)]
        .into_iter()
        .filter_map(|(number, access, minutes)| Some(share(number, people.next()?, access, minutes)))
        .collect()
}

#[async_trait]
impl Sharing for Fake {
    async fn shares(&self, _: &Caller, runtime: RuntimeId) -> Answer<Vec<ShareView>> {
        let first = sample::runtimes().first().is_some_and(|first| first.runtime_id == runtime);
        Ok(if first { self.state().shares.clone() } else { Vec::new() })
    }
    async fn share(&self, _: &Caller, _: RuntimeId, email: &str, access: Access, hours: u16) -> Answer<()> {
        let person = sample::people().into_iter().find(|person| person.email == email);
        let person = person.ok_or_else(|| Problem::new(Code::PersonNotFound, "Nobody here has this e-mail address.").field("email"))?;
        let shares = &mut self.state().shares;
        let share_id = ShareId(id(960 + shares.len() as u128));
        shares.push(ShareView { share_id, person: person.name, email: person.email, access, ends_at: ago(-60 * i64::from(hours)) });
        Ok(())
    }
    async fn end_share(&self, _: &Caller, share: ShareId) -> Answer<()> {
        self.state().shares.retain(|kept| kept.share_id != share);
        Ok(())
    }
    async fn shared(&self, caller: &Caller, runtime: Option<RuntimeId>) -> Answer<Vec<SharedView>> {
        let others = sample::runtimes().into_iter().filter(|one| one.person_id != caller.person_id && one.phase != Phase::Deleted);
        let accesses = [Access::Watch, Access::Full].into_iter();
        let views = others.zip(accesses).zip(0..).map(|((one, access), number)| SharedView {
            share_id: ShareId(id(970 + number)),
            runtime_id: one.runtime_id,
            name: one.name,
            owner: one.owner,
            origin: one.origin,
            phase: one.phase,
            access,
            ends_at: ago(-400),
        });
        Ok(views.filter(|one| runtime.is_none_or(|id| id == one.runtime_id)).collect())
    }
}
