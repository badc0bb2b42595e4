//! Each API in every version that the broker says it speaks.

use super::*;

#[test]
fn what_is_advertised_is_what_is_spoken() {
    let cluster = Cluster::shared();
    let mut wire = Wire::new(&cluster);
    for version in wire.versions::<ApiVersionsRequest>() {
        let mut request = ApiVersionsRequest::default();
        if version >= 3 {
            request = request
                .with_client_software_name(text("contract"))
                .with_client_software_version(text("1"));
        }
        let served = wire.ask(&request, version);
        assert_eq!(served.error_code, 0, "{version}");
        assert!(served.api_keys.iter().all(|api| api.min_version <= api.max_version));
    }
}

#[test]
fn metadata_in_every_version() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(3);
    let mut wire = Wire::new(&cluster);
    for version in wire.versions::<MetadataRequest>() {
        let named = |name: &str| {
            let topics = vec![MetadataRequestTopic::default().with_name(Some(topic_name(name)))];
            let request = MetadataRequest::default().with_topics(Some(topics));
            if version >= 4 {
                request.with_allow_auto_topic_creation(false)
            } else {
                request
            }
        };
        let response = wire.ask(&named(&topic), version);
        assert_eq!(response.brokers.len(), 1, "{version}");
        assert_eq!(response.brokers[0].host.as_str(), "127.0.0.1", "{version}");
        assert_eq!(
            i32::from(cluster.address().port()),
            response.brokers[0].port,
            "{version}"
        );
        let found = &response.topics[0];
        assert_eq!(error(found.error_code), None, "{version}");
        let mut partitions: Vec<i32> = found
            .partitions
            .iter()
            .map(|partition| partition.partition_index)
            .collect();
        partitions.sort_unstable();
        assert_eq!(partitions, [0, 1, 2], "{version}");
        let leader = response.brokers[0].node_id;
        assert!(found.partitions.iter().all(|partition| {
            partition.leader_id == leader && partition.replica_nodes == [leader] && partition.isr_nodes == [leader]
        }));
        if version >= 4 {
            let response = wire.ask(&named(&unique("unknown")), version);
            let code = error(response.topics[0].error_code);
            assert_eq!(code, Some(ResponseError::UnknownTopicOrPartition), "{version}");
        }
        // All topics: an empty list in version 0, no list since.
        let all = if version == 0 { Some(vec![]) } else { None };
        let response = wire.ask(&MetadataRequest::default().with_topics(all), version);
        assert!(
            response
                .topics
                .iter()
                .any(|found| found.name == Some(topic_name(&topic))),
            "{version}"
        );
        if version >= 1 {
            let response = wire.ask(&MetadataRequest::default().with_topics(Some(vec![])), version);
            assert!(response.topics.is_empty(), "{version}: no topic was asked for");
        }
    }
}

#[test]
fn produce_and_fetch_in_every_version() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(1);
    let mut wire = Wire::new(&cluster);
    let mut written = Vec::new();
    for version in wire.versions::<ProduceRequest>() {
        let value = format!("produced in {version}");
        let request = produce_request(&mut wire, version, &topic, 0, batch(&[&value, "second"], ANYBODY));
        let response = wire.ask(&request, version);
        let partition = &response.responses[0].partition_responses[0];
        assert_eq!(error(partition.error_code), None, "{version}");
        assert_eq!(partition.base_offset, written.len() as i64, "{version}");
        written.extend([value, "second".to_owned()]);
    }
    assert_eq!(texts(&read_all(&cluster, &topic, 0)), written);
    let end = written.len() as i64;
    for version in wire.versions::<FetchRequest>() {
        let found = fetch(&mut wire, version, &topic, 0, 0);
        assert_eq!(error(found.error_code), None, "{version}");
        assert_eq!(
            (found.high_watermark, found.last_stable_offset),
            (end, end),
            "{version}"
        );
        let records = found.records.expect("records");
        assert!(records.windows(8).any(|window| window == b"produced"), "{version}");
        let at_end = fetch(&mut wire, version, &topic, 0, end);
        assert_eq!(error(at_end.error_code), None, "{version}");
        assert!(at_end.records.is_none_or(|records| records.is_empty()), "{version}");
        for outside in [end + 1, -5] {
            let found = fetch(&mut wire, version, &topic, 0, outside);
            assert_eq!(
                error(found.error_code),
                Some(ResponseError::OffsetOutOfRange),
                "{version} {outside}"
            );
        }
        let found = fetch(&mut wire, version, &topic, 9, 0);
        assert_eq!(
            error(found.error_code),
            Some(ResponseError::UnknownTopicOrPartition),
            "{version}"
        );
    }
}

#[test]
fn list_offsets_in_every_version() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(2);
    let mut wire = Wire::new(&cluster);
    produce(&mut wire, &topic, 0, batch(&["a", "b"], ANYBODY));
    let time = 1_700_000_000_000;
    for version in wire.versions::<ListOffsetsRequest>() {
        let mut at = |partition, timestamp| offset_at(&mut wire, version, &topic, partition, timestamp);
        assert_eq!(at(0, -2), (None, 0, -1), "{version} earliest");
        assert_eq!(at(0, -1), (None, 2, -1), "{version} latest");
        assert_eq!(at(0, time - 1), (None, 0, time), "{version} before");
        assert_eq!(at(0, time), (None, 0, time), "{version} at");
        assert_eq!(at(0, time + 1), (None, -1, -1), "{version} after");
        assert_eq!(at(1, 0), (None, -1, -1), "{version} empty");
        let unknown = Some(ResponseError::UnknownTopicOrPartition);
        assert_eq!(at(7, -1).0, unknown, "{version} unknown");
        if version >= 7 {
            assert_eq!(at(0, -3), (None, 0, time), "{version} the largest timestamp");
            assert_eq!(at(1, -3), (None, -1, -1), "{version} the largest timestamp of none");
        }
    }
}

#[test]
fn topics_in_every_version() {
    let cluster = Cluster::shared();
    let mut wire = Wire::new(&cluster);
    for version in wire.versions::<CreateTopicsRequest>() {
        let name = unique("wire");
        let request = |validate_only| {
            CreateTopicsRequest::default()
                .with_topics(vec![
                    CreatableTopic::default()
                        .with_name(topic_name(&name))
                        .with_num_partitions(2)
                        .with_replication_factor(1),
                ])
                .with_timeout_ms(10_000)
                .with_validate_only(validate_only)
        };
        assert_eq!(
            error(wire.ask(&request(true), version).topics[0].error_code),
            None,
            "{version}"
        );
        let created = wire.ask(&request(false), version);
        assert_eq!(
            error(created.topics[0].error_code),
            None,
            "{version}: trying it had created it"
        );
        let again = wire.ask(&request(false), version);
        assert_eq!(
            error(again.topics[0].error_code),
            Some(ResponseError::TopicAlreadyExists),
            "{version}"
        );
    }
    for version in wire.versions::<DeleteTopicsRequest>() {
        let topic = cluster.topic(1);
        let request = if version >= 6 {
            let state = DeleteTopicState::default().with_name(Some(topic_name(&topic)));
            DeleteTopicsRequest::default().with_topics(vec![state])
        } else {
            DeleteTopicsRequest::default().with_topic_names(vec![topic_name(&topic)])
        };
        let request = request.with_timeout_ms(10_000);
        assert_eq!(
            error(wire.ask(&request, version).responses[0].error_code),
            None,
            "{version}"
        );
        let again = error(wire.ask(&request, version).responses[0].error_code);
        assert_eq!(again, Some(ResponseError::UnknownTopicOrPartition), "{version}");
    }
    let topic = cluster.topic(1);
    for version in wire.versions::<DescribeConfigsRequest>() {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text(&topic))
            .with_configuration_keys(Some(vec![text("retention.ms"), text("cleanup.policy")]));
        let response = wire.ask(
            &DescribeConfigsRequest::default().with_resources(vec![resource]),
            version,
        );
        assert_eq!(error(response.results[0].error_code), None, "{version}");
        let mut names: Vec<&str> = response.results[0]
            .configs
            .iter()
            .map(|config| config.name.as_str())
            .collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["cleanup.policy", "retention.ms"],
            "{version}: those that were asked for"
        );
    }
}

#[test]
fn group_offsets_in_every_version() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(2);
    let mut wire = Wire::new(&cluster);
    let group = unique("wire");
    wait_for_coordinator(&mut wire, &group);
    for version in wire.versions::<FindCoordinatorRequest>() {
        let response = if version >= 4 {
            let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![text(&group)]);
            let found = wire.ask(&request, version).coordinators[0].clone();
            (found.error_code, found.port)
        } else {
            let found = wire.ask(&FindCoordinatorRequest::default().with_key(text(&group)), version);
            (found.error_code, found.port)
        };
        assert_eq!(response, (0, i32::from(cluster.address().port())), "{version}");
    }
    for version in wire.versions::<OffsetCommitRequest>() {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(1)
            .with_committed_offset(i64::from(version))
            .with_committed_metadata(Some(text("noted")));
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(text(&group)))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![
                OffsetCommitRequestTopic::default()
                    .with_name(topic_name(&topic))
                    .with_partitions(vec![partition]),
            ]);
        let response = wire.ask(&request, version);
        assert_eq!(error(response.topics[0].partitions[0].error_code), None, "{version}");
    }
    let committed = i64::from(*wire.versions::<OffsetCommitRequest>().end());
    for version in wire.versions::<OffsetFetchRequest>() {
        // Both partitions; the first was never committed.
        let mut found: Vec<(i32, i64, String)> = if version >= 8 {
            let topics = OffsetFetchRequestTopics::default()
                .with_name(topic_name(&topic))
                .with_partition_indexes(vec![0, 1]);
            let wanted = OffsetFetchRequestGroup::default()
                .with_group_id(GroupId(text(&group)))
                .with_topics(Some(vec![topics]));
            let response = wire.ask(&OffsetFetchRequest::default().with_groups(vec![wanted]), version);
            assert_eq!(error(response.groups[0].error_code), None, "{version}");
            let partitions = &response.groups[0].topics[0].partitions;
            let row = |p: &kafka_protocol::messages::offset_fetch_response::OffsetFetchResponsePartitions| {
                (
                    p.partition_index,
                    p.committed_offset,
                    p.metadata.clone().unwrap_or_default().to_string(),
                )
            };
            partitions.iter().map(row).collect()
        } else {
            let topics = OffsetFetchRequestTopic::default()
                .with_name(topic_name(&topic))
                .with_partition_indexes(vec![0, 1]);
            let request = OffsetFetchRequest::default()
                .with_group_id(GroupId(text(&group)))
                .with_topics(Some(vec![topics]));
            let response = wire.ask(&request, version);
            assert_eq!(error(response.error_code), None, "{version}");
            let partitions = &response.topics[0].partitions;
            let row = |p: &kafka_protocol::messages::offset_fetch_response::OffsetFetchResponsePartition| {
                (
                    p.partition_index,
                    p.committed_offset,
                    p.metadata.clone().unwrap_or_default().to_string(),
                )
            };
            partitions.iter().map(row).collect()
        };
        found.sort();
        assert_eq!(
            found,
            [(0, -1, String::new()), (1, committed, "noted".to_owned())],
            "{version}"
        );
    }
    for version in wire.versions::<ListGroupsRequest>() {
        let response = wire.ask(&ListGroupsRequest::default(), version);
        assert!(
            response.groups.iter().any(|found| found.group_id.as_str() == group),
            "{version}"
        );
    }
    for version in wire.versions::<DescribeGroupsRequest>() {
        let request = DescribeGroupsRequest::default().with_groups(vec![GroupId(text(&group))]);
        let response = wire.ask(&request, version);
        assert_eq!(response.groups[0].group_state.as_str(), "Empty", "{version}");
        let unknown = DescribeGroupsRequest::default().with_groups(vec![GroupId(text(&unique("unknown")))]);
        let response = wire.ask(&unknown, version);
        assert_eq!(response.groups[0].group_state.as_str(), "Dead", "{version}");
    }
}

#[test]
fn producer_ids_are_given_once() {
    let cluster = Cluster::shared();
    let mut wire = Wire::new(&cluster);
    let mut given = Vec::new();
    for version in wire.versions::<InitProducerIdRequest>() {
        for _ in 0..3 {
            given.push(producer_id(&mut wire, version));
        }
    }
    let count = given.len();
    given.sort_unstable();
    given.dedup();
    assert_eq!(given.len(), count);
}
