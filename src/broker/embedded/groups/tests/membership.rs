//! Joining, sharing the work, leaving, and what is refused.

use super::*;
use crate::broker::embedded::groups::{MAX_GROUPS, join as joining};

#[tokio::test]
async fn two_members_of_any_version_share_the_work() {
    let (_dir, coordinator) = coordinator();
    for version in 0..=JoinGroupRequest::VERSIONS.max {
        let name = format!("group {version}");
        let first = join(&coordinator, &name, &StrBytes::new(), version).await;
        assert_eq!((first.error_code, &first.leader), (0, &first.member_id));
        let unborn = StrBytes::new();
        let beat = |joined: &JoinGroupResponse| {
            let request = HeartbeatRequest::default()
                .with_group_id(group(&name))
                .with_generation_id(joined.generation_id)
                .with_member_id(joined.member_id.clone());
            let response = coordinator.heartbeat(&request);
            encoded(&response, version.min(HeartbeatRequest::VERSIONS.max));
            response.error_code
        };
        // The newcomer waits for the one that is there already, which comes again.
        let (second, first) = tokio::join!(
            join(&coordinator, &name, &unborn, version),
            join(&coordinator, &name, &first.member_id, version)
        );
        assert_eq!((first.error_code, second.error_code), (0, 0), "version {version}");
        assert_eq!(first.generation_id, second.generation_id);
        assert_eq!((first.members.len(), second.members.len()), (2, 0));
        let sync_version = version.min(SyncGroupRequest::VERSIONS.max);
        // The follower asks first and waits for the leader.
        let (of_second, of_first) = tokio::join!(
            coordinator.sync_group(sync_request(&name, &second)),
            coordinator.sync_group(sync_request(&name, &first))
        );
        encoded(&of_first, sync_version);
        assert_eq!(of_first.assignment, first.member_id.clone().into_bytes());
        assert_eq!(of_second.assignment, second.member_id.clone().into_bytes());
        assert_eq!((beat(&first), beat(&second)), (0, 0));
    }
}

#[tokio::test]
async fn a_member_that_dies_is_missed_after_its_session() {
    let (_dir, coordinator) = coordinator();
    let dies = join_request("g", &StrBytes::new()).with_session_timeout_ms(100);
    let dead = coordinator.join_group(dies, 3, CALLER).await;
    assert_eq!(dead.error_code, 0);
    let lives = join(&coordinator, "g", &StrBytes::new(), 3).await;
    assert_eq!((lives.error_code, lives.members.len()), (0, 1));
    assert_eq!(lives.leader, lives.member_id);
}

#[tokio::test]
async fn impossible_joins_are_refused() {
    let (_dir, coordinator) = coordinator();
    let good = join_request("g", &StrBytes::new());
    let unknown = text("who");
    for (request, error) in [
        (good.clone().with_group_id(group("")), ResponseError::InvalidGroupId),
        (
            good.clone().with_group_id(group(&"g".repeat(2000))),
            ResponseError::InvalidGroupId,
        ),
        (
            good.clone().with_session_timeout_ms(-1),
            ResponseError::InvalidSessionTimeout,
        ),
        (
            good.clone().with_session_timeout_ms(i32::MAX),
            ResponseError::InvalidSessionTimeout,
        ),
        (
            good.clone().with_protocols(Vec::new()),
            ResponseError::InconsistentGroupProtocol,
        ),
        (
            good.clone().with_protocol_type(StrBytes::new()),
            ResponseError::InconsistentGroupProtocol,
        ),
        (good.clone().with_member_id(unknown), ResponseError::UnknownMemberId),
    ] {
        let response = coordinator.join_group(request, 9, CALLER).await;
        encoded(&response, 9);
        assert_eq!(response.error_code, error.code(), "{error}");
    }
    assert!(coordinator.list_groups(&ListGroupsRequest::default()).groups.is_empty());
}

#[tokio::test]
async fn memory_is_bounded_whatever_joins() {
    let (_dir, coordinator) = coordinator();
    let mut request = join_request("g", &StrBytes::new());
    request.protocols[0].metadata = vec![0; 1 << 20].into();
    let mut refused = 0;
    for number in 0..100 {
        let request = request.clone().with_group_id(group(&number.to_string()));
        let response = coordinator.join_group(request, 3, CALLER).await;
        refused += usize::from(response.error_code == ResponseError::GroupMaxSizeReached.code());
    }
    assert!((30..40).contains(&refused), "{refused} of 100 MiB were refused");
    // Ids that are only asked for take room too.
    let (_dir, coordinator) = self::coordinator();
    let request = join_request("g", &StrBytes::new());
    let mut codes = Vec::new();
    for _ in 0..=joining::MAX_MEMBERS {
        codes.push(coordinator.join_group(request.clone(), 9, CALLER).await.error_code);
    }
    assert_eq!(codes.first(), Some(&ResponseError::MemberIdRequired.code()));
    assert_eq!(codes.last(), Some(&ResponseError::GroupMaxSizeReached.code()));
}

#[tokio::test]
async fn groups_that_nobody_is_in_make_room() {
    let (_dir, coordinator) = coordinator();
    assert_eq!(commit(&coordinator, &commit_request("kept", "orders", 0, 5)), 0);
    for number in 0..3 * MAX_GROUPS {
        let name = number.to_string();
        let joined = join(&coordinator, &name, &StrBytes::new(), 3).await;
        assert_eq!(joined.error_code, 0);
        let leave = LeaveGroupRequest::default()
            .with_group_id(group(&name))
            .with_member_id(joined.member_id);
        assert_eq!(coordinator.leave_group(&leave, 0).error_code, 0);
    }
    {
        let inner = coordinator.lock();
        assert!(inner.groups.len() <= MAX_GROUPS);
        assert!(inner.journal.groups().len() <= MAX_GROUPS);
        assert!(inner.groups.contains_key("kept"));
    }
    // Groups with members do not.
    let mut codes = Vec::new();
    for number in 0..=MAX_GROUPS {
        let name = format!("stays {number}");
        codes.push(join(&coordinator, &name, &StrBytes::new(), 3).await.error_code);
    }
    assert_eq!(
        (codes[0], *codes.last().unwrap()),
        (0, ResponseError::GroupMaxSizeReached.code())
    );
}

#[tokio::test]
async fn leaving_works_alone_and_in_company() {
    let (_dir, coordinator) = coordinator();
    for version in 0..=LeaveGroupRequest::VERSIONS.max {
        let joined = settle(&coordinator, "g").await;
        let leave = |member: &StrBytes| {
            let identity = MemberIdentity::default().with_member_id(member.clone());
            let request = LeaveGroupRequest::default().with_group_id(group("g"));
            let request = match version {
                0..=2 => request.with_member_id(member.clone()),
                _ => request.with_members(vec![identity]),
            };
            let response = coordinator.leave_group(&request, version);
            encoded(&response, version);
            response
                .members
                .first()
                .map_or(response.error_code, |member| member.error_code)
        };
        assert_eq!(leave(&joined.member_id), 0);
        assert_eq!(leave(&joined.member_id), ResponseError::UnknownMemberId.code());
    }
}
