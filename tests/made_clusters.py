"""What a cluster file may hold where Ray itself does not look: names of keys, by place.

Ray's schema lets anything pass inside ``provider`` and ``node_config``; a misspelt key there is
noticed by nobody (``InstanceMarketOption`` means machines on demand) or by EC2, minutes later.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Allowed = dict[str, Any]
"""Key: what may be below it (None: a plain value or anything)."""

TAGS = {"Key": None, "Value": None}

# RunInstances of the EC2 API, version 2016-11-15, without what Ray itself fills in (MinCount, MaxCount,
# ClientToken) and what is of no use here.
RUN_INSTANCES: Allowed = {
    "BlockDeviceMappings": {
        "DeviceName": None,
        "NoDevice": None,
        "VirtualName": None,
        "Ebs": dict.fromkeys(
            ("DeleteOnTermination", "Encrypted", "Iops", "KmsKeyId", "SnapshotId", "Throughput", "VolumeSize")
        )
        | {"VolumeType": None},
    },
    "CapacityReservationSpecification": None,
    "EbsOptimized": None,
    "IamInstanceProfile": {"Arn": None, "Name": None},
    "ImageId": None,
    "InstanceMarketOptions": {
        "MarketType": None,
        "SpotOptions": dict.fromkeys(
            (
                "BlockDurationMinutes",
                "InstanceInterruptionBehavior",
                "MaxPrice",
                "SpotInstanceType",
                "ValidUntil",
            )
        ),
    },
    "InstanceType": None,
    "KeyName": None,
    "LaunchTemplate": None,
    "MetadataOptions": dict.fromkeys(
        ("HttpEndpoint", "HttpProtocolIpv6", "HttpPutResponseHopLimit", "HttpTokens", "InstanceMetadataTags")
    ),
    "Monitoring": None,
    "NetworkInterfaces": None,
    "Placement": None,
    "SecurityGroupIds": None,
    "SubnetId": None,
    "SubnetIds": None,  # Ray's own: it tries one after the other
    "TagSpecifications": {"ResourceType": None, "Tags": TAGS},
    "UserData": None,
}

PROVIDERS: dict[str, Allowed] = {
    "aws": {
        "type": None,
        "region": None,
        "availability_zone": None,
        "cache_stopped_nodes": None,
        "use_internal_ips": None,
        "key_pair": {"key_name": None},
        "security_group": {"GroupName": None, "IpPermissions": None},
    },
    "local": {"type": None, "head_ip": None, "worker_ips": None, "external_head_ip": None},
}

_CONTAINER: Allowed = {
    "name": None,
    "image": None,
    "env": {"name": None, "value": None, "valueFrom": None},
    "resources": {"requests": None, "limits": None},
    "volumeMounts": {"name": None, "mountPath": None, "readOnly": None, "subPath": None},
}
_POD: Allowed = {
    "metadata": None,
    "spec": {
        "serviceAccountName": None,
        "restartPolicy": None,
        "nodeSelector": None,
        "tolerations": dict.fromkeys(("key", "operator", "value", "effect")),
        "containers": _CONTAINER,
        "volumes": {"name": None, "persistentVolumeClaim": {"claimName": None, "readOnly": None}},
    },
}

# KubeRay's API, ray.io/v1, as of 1.5.
RAY_JOB: Allowed = {
    "apiVersion": None,
    "kind": None,
    "metadata": {"name": None, "namespace": None, "labels": None},
    "spec": {
        "entrypoint": None,
        "backoffLimit": None,
        "shutdownAfterJobFinishes": None,
        "ttlSecondsAfterFinished": None,
        "activeDeadlineSeconds": None,
        "submissionMode": None,
        "suspend": None,
        "rayClusterSpec": {
            "rayVersion": None,
            "authOptions": {"mode": None},
            "enableInTreeAutoscaling": None,
            "autoscalerOptions": dict.fromkeys(
                ("version", "idleTimeoutSeconds", "upscalingMode", "resources", "env")
            ),
            "headGroupSpec": {"serviceType": None, "rayStartParams": None, "template": _POD},
            "workerGroupSpecs": dict.fromkeys(
                (
                    "groupName",
                    "replicas",
                    "minReplicas",
                    "maxReplicas",
                    "idleTimeoutSeconds",
                    "rayStartParams",
                )
            )
            | {"template": _POD},
        },
    },
}


def unknown_keys(value: Any, allowed: Allowed | None, path: str = "") -> Iterator[str]:
    """Yield the path of each key that is not allowed; a list is looked through."""
    if allowed is None:
        return
    if isinstance(value, list):
        for item in value:
            yield from unknown_keys(item, allowed, path)
    elif isinstance(value, dict):
        for key, below in value.items():
            where = f"{path}.{key}".lstrip(".")
            if key not in allowed:
                yield where
            else:
                yield from unknown_keys(below, allowed[key], where)
    else:
        yield f"{path}: a mapping is expected"
