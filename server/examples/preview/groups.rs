//! Groups over made-up persons: two to begin with, one of them without members.

use crate::{
    fake::{Fake, only_administrators},
    sample::{self, id},
};
use app::ports::Groups;
use async_trait::async_trait;
use contract::*;

pub fn samples() -> Vec<GroupView> {
    let member = |person: PersonView| GroupMember { person_id: person.person_id, name: person.name, email: person.email };
    let group = |number, name: &str, members: Vec<GroupMember>| GroupView {
        group_id: GroupId(id(number)),
        name: name.to_owned(),
        models: i64::from(!members.is_empty()),
        members,
    };
    let members = sample::people().into_iter().take(3).map(member).collect();
    vec![group(950, "Research", members), group(951, "Sales", Vec::new())]
}

#[async_trait]
impl Groups for Fake {
    async fn groups(&self, caller: &Caller) -> Answer<Vec<GroupView>> {
        only_administrators(caller)?;
        Ok(self.state().groups.clone())
    }
    async fn add_group(&self, caller: &Caller, name: &str) -> Answer<()> {
        only_administrators(caller)?;
        let groups = &mut self.state().groups;
        let group_id = GroupId(id(950 + groups.len() as u128));
        groups.push(GroupView { group_id, name: name.to_owned(), members: Vec::new(), models: 0 });
        Ok(())
    }
    async fn rename_group(&self, caller: &Caller, group: GroupId, name: &str) -> Answer<()> {
        only_administrators(caller)?;
        self.state().groups.iter_mut().filter(|found| found.group_id == group).for_each(|found| found.name = name.to_owned());
        Ok(())
    }
    async fn remove_group(&self, caller: &Caller, group: GroupId) -> Answer<()> {
        only_administrators(caller)?;
        self.state().groups.retain(|found| found.group_id != group);
        Ok(())
    }
    async fn join_group(&self, caller: &Caller, group: GroupId, email: &str) -> Answer<()> {
        only_administrators(caller)?;
        let person = sample::people().into_iter().find(|person| person.email == email);
        let person = person.ok_or_else(|| Problem::new(Code::PersonNotFound, "Nobody has this e-mail address.").field("email"))?;
        for found in self.state().groups.iter_mut().filter(|found| found.group_id == group) {
            found.members.push(GroupMember { person_id: person.person_id, name: person.name.clone(), email: person.email.clone() });
        }
        Ok(())
    }
    async fn leave_group(&self, caller: &Caller, group: GroupId, person: PersonId) -> Answer<()> {
        only_administrators(caller)?;
        for found in self.state().groups.iter_mut().filter(|found| found.group_id == group) {
            found.members.retain(|member| member.person_id != person);
        }
        Ok(())
    }
}
