package probepod

import (
	"fmt"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// Where a probe pod has the files of TLS. What is mounted is named by the path, so that a file that is not there says what
// it was to come from.
const (
	volumeCA          = "ca"
	volumeCertificate = "client-certificate"
	folderCA          = "/connpolicy/configmap/"
	folderCertificate = "/connpolicy/secret/"
)

// tlsArguments are what a probe is told about TLS.
func tlsArguments(client *v1alpha1.TLSClient) []string {
	if client == nil {
		return nil
	}
	var arguments []string
	if client.ServerName != "" {
		arguments = append(arguments, "--tls-server-name", client.ServerName)
	}
	if ca := client.CAConfigMap; ca != nil {
		arguments = append(arguments, "--tls-ca", path.Join(folderCA, ca.Name, ca.Key))
	}
	if secret := client.ClientCertificateSecret; secret != nil {
		arguments = append(arguments,
			"--tls-certificate", path.Join(folderCertificate, secret.Name, corev1.TLSCertKey),
			"--tls-key", path.Join(folderCertificate, secret.Name, corev1.TLSPrivateKeyKey))
	}
	return arguments
}

// volumes hold the files of TLS. All are optional: the kubelet holds a pod back for ever whose ConfigMap or Secret is
// absent, and says so to nobody but in an event; a probe that finds no file ends at once, and says which.
func volumes(client *v1alpha1.TLSClient) []corev1.Volume {
	if client == nil {
		return nil
	}
	var volumes []corev1.Volume
	if ca := client.CAConfigMap; ca != nil {
		volumes = append(volumes, corev1.Volume{Name: volumeCA, VolumeSource: corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: ca.Name},
				Items:                []corev1.KeyToPath{{Key: ca.Key, Path: ca.Key}},
				Optional:             new(true),
			},
		}})
	}
	if secret := client.ClientCertificateSecret; secret != nil {
		volumes = append(volumes, corev1.Volume{Name: volumeCertificate, VolumeSource: corev1.VolumeSource{
			Secret: &corev1.SecretVolumeSource{
				SecretName: secret.Name,
				Items: []corev1.KeyToPath{
					{Key: corev1.TLSCertKey, Path: corev1.TLSCertKey},
					{Key: corev1.TLSPrivateKeyKey, Path: corev1.TLSPrivateKeyKey},
				},
				Optional: new(true),
			},
		}})
	}
	return volumes
}

func mounts(client *v1alpha1.TLSClient) []corev1.VolumeMount {
	var mounts []corev1.VolumeMount
	for _, volume := range volumes(client) {
		mount := corev1.VolumeMount{Name: volume.Name, ReadOnly: true}
		if volume.ConfigMap != nil {
			mount.MountPath = folderCA + volume.ConfigMap.Name
		} else {
			mount.MountPath = folderCertificate + volume.Secret.SecretName
		}
		mounts = append(mounts, mount)
	}
	return mounts
}

// absent names the ConfigMap or Secret that a probe missed, going by what it said at its end; empty if it was something
// else.
func absent(pod *corev1.Pod, said string) string {
	if !strings.Contains(said, "no such file or directory") {
		return ""
	}
	for _, volume := range pod.Spec.Volumes {
		switch {
		case volume.ConfigMap != nil && strings.Contains(said, folderCA+volume.ConfigMap.Name+"/"):
			return fmt.Sprintf("ConfigMap %s, which tls.caConfigMap names, does not exist in namespace %s, or has no key %s",
				volume.ConfigMap.Name, pod.Namespace, volume.ConfigMap.Items[0].Key)
		case volume.Secret != nil && strings.Contains(said, folderCertificate+volume.Secret.SecretName+"/"):
			return fmt.Sprintf("Secret %s, which tls.clientCertificateSecret names, does not exist in namespace %s, or has no keys %s and %s",
				volume.Secret.SecretName, pod.Namespace, corev1.TLSCertKey, corev1.TLSPrivateKeyKey)
		}
	}
	return ""
}
