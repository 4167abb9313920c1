package await

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"

	"autoglm.dev/platform/toolchain/internal/kubernetes/cluster"
)

const (
	// diagnoseEvery keeps the number of requests low while many objects are awaited.
	diagnoseEvery = 3 * time.Second
	// Bounds of what one error message shows.
	maxPods     = 3
	maxEvents   = 5
	logLines    = 5
	maxLogBytes = 2048

	eventPrefix = "event: "
)

// diagnosis finds out why an object is not ready: the states of its pods, the last words of
// their containers, and warnings about them. What was seen of pods that are gone by now is
// kept, as a failing Job deletes its pods.
type diagnosis struct {
	client kubernetes.Interface
	ref    cluster.Ref
	last   time.Time
	pods   []string
	events []string
	shown  string
}

func newDiagnosis(client kubernetes.Interface, ref cluster.Ref) *diagnosis {
	return &diagnosis{client: client, ref: ref}
}

// update looks again when it is time to, or now. It tells whether there is anything new to
// show. Errors are passed over: a diagnosis must not hide the failure it explains.
func (d *diagnosis) update(ctx context.Context, live map[string]any, now bool) bool {
	if !now && time.Since(d.last) < diagnoseEvery {
		return false
	}
	d.last = time.Now()
	ctx, cancel := context.WithTimeout(ctx, 2*diagnoseEvery)
	defer cancel()
	pods := d.podsOf(ctx, live)
	if reasons := append(replicaFailures(live), d.podReasons(ctx, pods, now)...); len(reasons) > 0 {
		d.pods = reasons
	}
	if events := d.warnings(ctx, pods); len(events) > 0 {
		d.events = events
	}
	text := strings.Join(d.latest(), "\n")
	changed := text != d.shown || text == ""
	d.shown = text
	return changed
}

func (d *diagnosis) latest() []string {
	if len(d.pods) > 0 {
		return d.pods[:1]
	}
	if len(d.events) > 0 {
		return d.events[len(d.events)-1:]
	}
	return nil
}

// details are all reasons, save events that only repeat the summary.
func (d *diagnosis) details(summary string) []string {
	events := slices.DeleteFunc(slices.Clone(d.events), func(line string) bool {
		_, message, _ := strings.Cut(strings.TrimPrefix(line, eventPrefix), ": ")
		_, message, _ = strings.Cut(message, ": ")
		return message != "" && strings.Contains(summary, message)
	})
	return slices.Concat(d.pods, events)
}

// replicaFailures says why a workload's pods cannot even be made: quota, pod security, admission.
func replicaFailures(live map[string]any) []string {
	conditions, _, _ := unstructured.NestedSlice(live, "status", "conditions")
	for _, c := range conditions {
		m, _ := c.(map[string]any)
		if m["type"] == string(appsv1.DeploymentReplicaFailure) && m["status"] == string(corev1.ConditionTrue) {
			return []string{fmt.Sprintf("%v: %v", m["reason"], m["message"])}
		}
	}
	return nil
}

// podsOf lists the pods that belong to an object, the newest first.
func (d *diagnosis) podsOf(ctx context.Context, live map[string]any) []corev1.Pod {
	if d.ref.GVK.Kind == "Pod" && d.ref.GVK.Group == "" {
		if pod, err := d.client.CoreV1().Pods(d.ref.Namespace).Get(ctx, d.ref.Name, metav1.GetOptions{}); err == nil {
			return []corev1.Pod{*pod}
		}
		return nil
	}
	selector := selectorOf(d.ref.GVK.Kind, live)
	if selector == "" {
		return nil
	}
	list, err := d.client.CoreV1().Pods(d.ref.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil
	}
	pods := list.Items
	sort.Slice(pods, func(i, j int) bool { return pods[j].CreationTimestamp.Before(&pods[i].CreationTimestamp) })
	return pods[:min(len(pods), maxPods)]
}

func selectorOf(kind string, live map[string]any) string {
	if kind == "Service" || kind == "ReplicationController" {
		labels, _, _ := unstructured.NestedStringMap(live, "spec", "selector")
		if len(labels) == 0 {
			return ""
		}
		return metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: labels})
	}
	raw, ok, _ := unstructured.NestedMap(live, "spec", "selector")
	if !ok {
		return ""
	}
	var selector metav1.LabelSelector
	if typed(raw, &selector) != nil || len(selector.MatchLabels)+len(selector.MatchExpressions) == 0 {
		return ""
	}
	return metav1.FormatLabelSelector(&selector)
}

func (d *diagnosis) podReasons(ctx context.Context, pods []corev1.Pod, withLogs bool) []string {
	var reasons []string
	for _, pod := range pods {
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Message != "" {
				reasons = append(reasons, fmt.Sprintf("pod %s: %s: %s", pod.Name, c.Reason, c.Message))
			}
		}
		if pod.Status.Message != "" {
			reasons = append(reasons, fmt.Sprintf("pod %s: %s: %s", pod.Name, pod.Status.Reason, pod.Status.Message))
		}
		for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			reasons = append(reasons, d.containerReasons(ctx, &pod, s, withLogs)...)
		}
	}
	return reasons
}

func (d *diagnosis) containerReasons(ctx context.Context, pod *corev1.Pod, s corev1.ContainerStatus, withLogs bool) []string {
	var reasons []string
	at := fmt.Sprintf("pod %s, container %s", pod.Name, s.Name)
	ended, previous := s.State.Terminated, false
	if ended == nil {
		ended, previous = s.LastTerminationState.Terminated, true
	}
	if ended != nil && ended.ExitCode != 0 {
		said := strings.TrimSpace(ended.Message)
		if said == "" && withLogs {
			said = d.logTail(ctx, pod, s.Name, previous)
		}
		reason := fmt.Sprintf("%s: exit code %d (%s)", at, ended.ExitCode, ended.Reason)
		if said != "" {
			reason += ": " + said
		}
		reasons = append(reasons, reason)
	}
	// PodInitializing and ContainerCreating are the normal course.
	if waiting := s.State.Waiting; waiting != nil && waiting.Reason != "PodInitializing" && waiting.Reason != "ContainerCreating" {
		reason := at + ": " + waiting.Reason
		if waiting.Message != "" {
			reason += ": " + waiting.Message
		}
		reasons = append(reasons, reason)
	}
	return reasons
}

func (d *diagnosis) logTail(ctx context.Context, pod *corev1.Pod, container string, previous bool) string {
	lines, bytes := int64(logLines), int64(maxLogBytes)
	stream, err := d.client.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
		Container: container, Previous: previous, TailLines: &lines, LimitBytes: &bytes,
	}).Stream(ctx)
	if err != nil {
		return ""
	}
	defer func() { _ = stream.Close() }()
	text, _ := io.ReadAll(io.LimitReader(stream, maxLogBytes))
	return strings.TrimSpace(string(text))
}

// warnings lists the last warning events about the object and its pods.
func (d *diagnosis) warnings(ctx context.Context, pods []corev1.Pod) []string {
	about := []fields.Set{{"involvedObject.kind": d.ref.GVK.Kind, "involvedObject.name": d.ref.Name}}
	for _, pod := range pods {
		about = append(about, fields.Set{"involvedObject.kind": "Pod", "involvedObject.name": pod.Name})
	}
	if d.ref.Namespace == "" {
		return nil
	}
	var found []corev1.Event
	for _, set := range about {
		set["type"] = corev1.EventTypeWarning
		list, err := d.client.CoreV1().Events(d.ref.Namespace).List(ctx, metav1.ListOptions{FieldSelector: set.AsSelector().String()})
		if err != nil {
			return nil
		}
		found = append(found, list.Items...)
	}
	sort.SliceStable(found, func(i, j int) bool { return eventTime(found[i]).Before(eventTime(found[j])) })
	var lines []string
	for _, e := range found {
		line := fmt.Sprintf(eventPrefix+"%s %s: %s: %s", strings.ToLower(e.InvolvedObject.Kind), e.InvolvedObject.Name, e.Reason, strings.TrimSpace(e.Message))
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines[max(0, len(lines)-maxEvents):]
}

func eventTime(e corev1.Event) time.Time {
	switch {
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	default:
		return e.CreationTimestamp.Time
	}
}
