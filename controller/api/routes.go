package api

import (
	"github.com/grigri/grigri/internal/agentapi"
	"github.com/grigri/grigri/internal/userapi"
)

// Routes is every route there is.
func Routes() []Route {
	return []Route{
		{Pattern: userapi.HealthRoute, Access: Open, Handle: health},

		{Pattern: userapi.ControllerRoute, Access: Reader, Handle: showController},
		{Pattern: userapi.DestroyControllerRoute, Access: Admin, Handle: destroyController},
		{Pattern: userapi.StopControllerRoute, Access: Admin, Handle: stopController},
		{Pattern: userapi.UploadProgramsRoute, Access: Admin, Handle: uploadPrograms, Patient: true},
		{Pattern: userapi.UpgradeControllerRoute, Access: Admin, Handle: upgradeController},

		{Pattern: userapi.ControllerConfigRoute, Access: Reader, Handle: showControllerConfig},
		{Pattern: userapi.SetControllerConfigRoute, Access: Admin, Handle: setControllerConfig},
		{Pattern: userapi.ModelDefaultsRoute, Access: Reader, Handle: showModelDefaults},
		{Pattern: userapi.SetModelDefaultsRoute, Access: Admin, Handle: setModelDefaults},

		{Pattern: userapi.CloudsRoute, Access: Reader, Handle: listClouds},
		{Pattern: userapi.AddCloudRoute, Access: Admin, Handle: addCloud},
		{Pattern: userapi.CloudRoute, Access: Reader, Handle: showCloud},
		{Pattern: userapi.UpdateCloudRoute, Access: Admin, Handle: updateCloud},
		{Pattern: userapi.RemoveCloudRoute, Access: Admin, Handle: removeCloud},
		{Pattern: userapi.PluginRoute, Access: Reader, Handle: showPlugin},
		{Pattern: userapi.UploadPluginRoute, Access: Admin, Handle: uploadPlugin, Patient: true}, // who may do that runs what he likes on the controller's machine
		{Pattern: userapi.CredentialsRoute, Access: Reader, Handle: listCredentials},
		{Pattern: userapi.PutCredentialRoute, Access: Reader, Handle: putCredential}, // his own
		{Pattern: userapi.RemoveCredentialRoute, Access: Reader, Handle: removeCredential},
		{Pattern: userapi.SetCredentialRoute, Access: Writer, Handle: setCredential},

		{Pattern: userapi.ModelsRoute, Access: Reader, Handle: listModels},
		{Pattern: userapi.CreateModelRoute, Access: Admin, Handle: createModel},
		{Pattern: userapi.ModelRoute, Access: Reader, Handle: showModel},
		{Pattern: userapi.DestroyModelRoute, Access: Writer, Handle: destroyModel},
		{Pattern: userapi.StatusRoute, Access: Reader, Handle: showStatus, Patient: true},
		{Pattern: userapi.HistoryRoute, Access: Reader, Handle: showHistory},
		{Pattern: userapi.StatusLogRoute, Access: Reader, Handle: showStatusLog},
		{Pattern: userapi.ModelConfigRoute, Access: Reader, Handle: showModelConfig},
		{Pattern: userapi.UpgradeModelRoute, Access: Writer, Handle: upgradeModel},
		{Pattern: userapi.SSHKeysRoute, Access: Reader, Handle: sshKeys},
		{Pattern: userapi.ChangeSSHKeysRoute, Access: Writer, Handle: changeSSHKeys},
		{Pattern: userapi.SetModelConfigRoute, Access: Writer, Handle: setModelConfig},
		{Pattern: userapi.ConstraintsRoute, Access: Reader, Handle: showModelConstraints},
		{Pattern: userapi.SetConstraintsRoute, Access: Writer, Handle: setModelConstraints},
		{Pattern: userapi.AnnotationsRoute, Access: Reader, Handle: showAnnotations},
		{Pattern: userapi.AnnotateRoute, Access: Writer, Handle: annotate},
		{Pattern: userapi.CharmRoute, Access: Reader, Handle: showCharm},
		{Pattern: userapi.UploadCharmRoute, Access: Writer, Handle: uploadCharm},
		{Pattern: userapi.UploadResourceRoute, Access: Writer, Handle: uploadResource, Patient: true},
		{Pattern: userapi.PayloadsRoute, Access: Reader, Handle: listPayloads},

		{Pattern: userapi.DeployRoute, Access: Writer, Handle: deploy},
		{Pattern: userapi.ApplicationRoute, Access: Reader, Handle: showApplication},
		{Pattern: userapi.RemoveApplicationRoute, Access: Writer, Handle: removeApplication},
		{Pattern: userapi.ConfigRoute, Access: Reader, Handle: showConfig},
		{Pattern: userapi.SetConfigRoute, Access: Writer, Handle: setConfig},
		{Pattern: userapi.AppConstraintsRoute, Access: Reader, Handle: showConstraints},
		{Pattern: userapi.SetAppConstraintsRoute, Access: Writer, Handle: setConstraints},
		{Pattern: userapi.RefreshRoute, Access: Writer, Handle: refresh},
		{Pattern: userapi.ExposeRoute, Access: Writer, Handle: expose},
		{Pattern: userapi.UnexposeRoute, Access: Writer, Handle: unexpose},
		{Pattern: userapi.TrustRoute, Access: Writer, Handle: setTrust},
		{Pattern: userapi.ActionsRoute, Access: Reader, Handle: listActions},
		{Pattern: userapi.ResourcesRoute, Access: Reader, Handle: listResources},
		{Pattern: userapi.AttachResourceRoute, Access: Writer, Handle: attachResource},

		{Pattern: userapi.AddUnitsRoute, Access: Writer, Handle: addUnits},
		{Pattern: userapi.UnitRoute, Access: Reader, Handle: showUnit},
		{Pattern: userapi.RemoveUnitRoute, Access: Writer, Handle: removeUnit},
		{Pattern: userapi.UnitShellRoute, Access: Writer, Handle: unitShell},
		{Pattern: userapi.UnitDebugRoute, Access: Writer, Handle: unitDebug},
		{Pattern: userapi.ResolveRoute, Access: Writer, Handle: resolve},

		{Pattern: userapi.AddStorageRoute, Access: Writer, Handle: addStorage},
		{Pattern: userapi.AttachStorageRoute, Access: Writer, Handle: attachStorage},
		{Pattern: userapi.DetachStorageRoute, Access: Writer, Handle: detachStorage},
		{Pattern: userapi.RemoveStorageRoute, Access: Writer, Handle: removeStorage},
		{Pattern: userapi.PoolsRoute, Access: Reader, Handle: listPools},
		{Pattern: userapi.CreatePoolRoute, Access: Writer, Handle: createPool},
		{Pattern: userapi.UpdatePoolRoute, Access: Writer, Handle: updatePool},
		{Pattern: userapi.RemovePoolRoute, Access: Writer, Handle: removePool},

		{Pattern: userapi.RelationsRoute, Access: Reader, Handle: listRelations},
		{Pattern: userapi.IntegrateRoute, Access: Writer, Handle: integrate},
		{Pattern: userapi.RemoveRelationRoute, Access: Writer, Handle: removeRelation},

		{Pattern: userapi.AddMachinesRoute, Access: Writer, Handle: addMachines},
		{Pattern: userapi.RemoveMachineRoute, Access: Writer, Handle: removeMachine},
		{Pattern: userapi.AddHostRoute, Access: Writer, Handle: addHost},
		{Pattern: userapi.HostScriptRoute, Access: Writer, Handle: hostScript},
		{Pattern: userapi.RetryRoute, Access: Writer, Handle: retryProvisioning},
		{Pattern: userapi.MachineShellRoute, Access: Writer, Handle: machineShell},

		{Pattern: userapi.EnqueueRoute, Access: Writer, Handle: enqueue},
		{Pattern: userapi.OperationsRoute, Access: Reader, Handle: listOperations},
		{Pattern: userapi.OperationRoute, Access: Reader, Handle: showOperation, Patient: true},
		{Pattern: userapi.TaskRoute, Access: Reader, Handle: showTask, Patient: true},
		{Pattern: userapi.CancelTaskRoute, Access: Writer, Handle: cancelTask},

		{Pattern: userapi.SecretsRoute, Access: Reader, Handle: listSecrets},
		{Pattern: userapi.AddSecretRoute, Access: Writer, Handle: addSecret},
		{Pattern: userapi.SecretRoute, Access: Reader, Handle: showSecret},
		{Pattern: userapi.RevealSecretRoute, Access: Writer, Handle: revealSecret},
		{Pattern: userapi.UpdateSecretRoute, Access: Writer, Handle: updateSecret},
		{Pattern: userapi.RemoveSecretRoute, Access: Writer, Handle: removeSecret},
		{Pattern: userapi.GrantSecretRoute, Access: Writer, Handle: grantSecret},

		{Pattern: userapi.LogsRoute, Access: Reader, Handle: showLogs, Patient: true},

		{Pattern: agentapi.EnrolRoute, Access: Open, Handle: enrol}, // a one-time token is asked for
		{Pattern: agentapi.BinaryRoute, Access: Open, Handle: fetchBinary},
		{Pattern: agentapi.CharmRoute, Access: Machine, Handle: fetchCharm},
		{Pattern: agentapi.ResourceRoute, Access: Machine, Handle: fetchResource},
		{Pattern: agentapi.CredentialRoute, Access: Machine, Handle: credential},
		{Pattern: agentapi.LogsRoute, Access: Machine, Handle: takeLogs},
		{Pattern: agentapi.StatusesRoute, Access: Machine, Handle: takeStatuses},
		{Pattern: agentapi.GoalStateRoute, Access: Machine, Handle: goalState},
		{Pattern: agentapi.NewSecretRoute, Access: Machine, Handle: newSecret},
		{Pattern: agentapi.SealSecretRoute, Access: Machine, Handle: sealSecret},
		{Pattern: agentapi.ReadSecretRoute, Access: Machine, Handle: readSecret},
		{Pattern: agentapi.ApplicationStatusRoute, Access: Machine, Handle: applicationStatus},
	}
}
