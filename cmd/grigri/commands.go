package main

import "github.com/spf13/cobra"

// addCommands adds every command. The order does not matter: help sorts them.
func (c *cli) addCommands(root *cobra.Command) {
	root.AddCommand(
		c.bootstrapCommand(),
		c.controllersCommand(),
		c.showControllerCommand(),
		c.whoamiCommand(),
		c.switchCommand(),
		c.modelsCommand(),
		c.showModelCommand(),
		c.addModelCommand(),
		c.modelConfigCommand(),
		c.destroyModelCommand(),
		c.destroyControllerCommand(),
		c.killControllerCommand(),
		c.unregisterCommand(),
		c.deployCommand(),
		c.refreshCommand(),
		c.diffBundleCommand(),
		c.exportBundleCommand(),
		c.integrateCommand(),
		c.removeRelationCommand(),
		c.addUnitCommand(),
		c.removeUnitCommand(),
		c.removeApplicationCommand(),
		c.configCommand(),
		c.exposeCommand(),
		c.unexposeCommand(),
		c.trustCommand(),
		c.resourcesCommand(),
		c.attachResourceCommand(),
		c.payloadsCommand(),
		c.resolvedCommand(),
		c.machinesCommand(false),
		c.machinesCommand(true),
		c.addMachineCommand(),
		c.removeMachineCommand(),
		c.showUnitCommand(),
		c.showApplicationCommand(),
		c.statusCommand(),
		c.debugLogCommand(),
		c.sshCommand(),
		c.execCommand(),
		c.runCommand(),
		c.actionsCommand(),
		c.showActionCommand(),
		c.showTaskCommand(),
		c.cancelTaskCommand(),
		c.operationsCommand(),
		c.showOperationCommand(),
		c.versionCommand(),
	)
	root.AddCommand(c.constraintsCommands()...)
	root.AddCommand(c.helpCommand(root), c.completionCommand(root))
}
